/** The prompt of a command: its argument, or stdin. */
import type { ChatMessage, Prompt } from "../index.ts";
import { UsageError } from "./failures.ts";
import type { CliIo } from "./io.ts";

/** No model reads more; stops a command that was piped a disk image. */
const MAX_PROMPT_BYTES = 16 << 20;

/** The argument, or stdin where there is none or it is "-"; one newline at stdin's end is not part of it. */
export async function readPrompt(argument: string | undefined, io: CliIo): Promise<string> {
  if (argument !== undefined && argument !== "-") return argument;
  if (io.stdinIsTerminal && argument === undefined) {
    throw new UsageError("there is no prompt", 'give it as the last argument ("Hello"), or pipe it in');
  }
  const text = await readAll(io.stdin);
  return text.replace(/\r?\n$/, "");
}

async function readAll(stdin: CliIo["stdin"]): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stdin) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    size += bytes.length;
    if (size > MAX_PROMPT_BYTES)
      throw new UsageError(`stdin has more than the ${MAX_PROMPT_BYTES} bytes a prompt may have`);
    parts.push(bytes);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new UsageError("stdin is not UTF-8 text");
  }
}

/** How texts become prompts: as they are, or as a user's message behind an optional system message. */
export function promptMaker(chat: boolean, system: string | undefined): (text: string) => Prompt {
  if (!chat) return (text) => text;
  const before: readonly ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  return (text) => [...before, { role: "user", content: text }];
}
