/** Chat messages to prompt text by the model's own Jinja template. */
import { join } from "node:path";
import { type Context, createContext, Script } from "node:vm";
import { readSmallFile } from "../base/bytes.ts";
import { messageOf, VeneError } from "../base/errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

const MAX_TEMPLATE_BYTES = 1 << 20;

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | (string & {});
  readonly content: string;
}

export type ChatTemplate = (messages: readonly ChatMessage[]) => string;

/** The folder's template (chat_template.jinja, else tokenizer_config.json), or undefined. Throws `chat-template` if it does not parse. */
export async function openChatTemplate(folder: string, tokenizer: Tokenizer): Promise<ChatTemplate | undefined> {
  const source = (await templateFile(folder)) ?? templateOf(tokenizer.config["chat_template"]);
  if (source === undefined) return undefined;
  const { Template } = await import("@huggingface/jinja");
  const template = attempt("does not parse", () => new Template(source));
  return (messages) =>
    attempt("fails on these messages", () =>
      withinTime(() =>
        template.render({
          messages,
          add_generation_prompt: true,
          bos_token: tokenizer.specialToken("bos_token") ?? "",
          eos_token: tokenizer.specialToken("eos_token") ?? "",
          pad_token: tokenizer.specialToken("pad_token") ?? "",
          unk_token: tokenizer.specialToken("unk_token") ?? "",
        }),
      ),
    );
}

/** Templates come with models: one that loops for ever, or builds without end, must not take the process with it. */
const RENDER_MS = 2000;

let timed: { readonly context: Context; readonly script: Script } | undefined;

/** Runs `work`, ending it after a time limit, which only a script of node:vm can have. */
function withinTime<T>(work: () => T): T {
  timed ??= { context: createContext({}), script: new Script("work()") };
  timed.context["work"] = work;
  try {
    return timed.script.runInContext(timed.context, { timeout: RENDER_MS }) as T;
  } finally {
    timed.context["work"] = undefined;
  }
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new VeneError("chat-template", `the model's chat template ${what}: ${messageOf(cause)}`, {
      hint: "give a plain prompt, or check roles and their order",
      cause,
    });
  }
}

async function templateFile(folder: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readSmallFile(join(folder, "chat_template.jinja"), MAX_TEMPLATE_BYTES));
  } catch (error) {
    if (error instanceof VeneError && error.code === "file-missing") return undefined;
    throw error;
  }
}

/** tokenizer_config.json has one template, or a list of named ones of which "default" is for plain chat. */
function templateOf(entry: unknown): string | undefined {
  if (typeof entry === "string") return entry;
  if (!Array.isArray(entry)) return undefined;
  const named = entry.find((one: { name?: unknown }) => one?.name === "default") as { template?: unknown } | undefined;
  return typeof named?.template === "string" ? named.template : undefined;
}
