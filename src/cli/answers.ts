/** Runs one generation for a command: text as it comes, or progress where the text is not shown. */
import type { Generation, GenerationStream } from "../index.ts";
import type { CommandContext } from "./io.ts";
import type { Progress } from "./progress.ts";
import { harmless, painter } from "./style.ts";

export interface AnswerOptions {
  readonly label: "plain" | "steered";
  /** Printed above the text; absent = the text alone. */
  readonly heading?: string | undefined;
  readonly maxNewTokens: number;
}

/** What --json says about one answer. */
export interface AnswerJson {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finishReason: Generation["finishReason"];
}

export interface TimingsJson {
  readonly promptMs: number;
  readonly decodeMs: number;
  /** Of the tokens after the first; null when there is only one. */
  readonly tokensPerSecond: number | null;
}

export async function answer(
  stream: GenerationStream<Generation>,
  options: AnswerOptions,
  context: CommandContext,
  progress: Progress,
): Promise<Generation> {
  const { interrupt, json, stdout } = context;
  const shown = json || !stdout.isTerminal ? progress : undefined;
  const writer = json ? undefined : new AnswerWriter(context, options.heading);
  // Reading the prompt keeps the event loop busy; between tokens there is time to stop in order.
  interrupt.letGo();
  try {
    let done = 0;
    for await (const { text } of stream) {
      interrupt.hold();
      if (shown === undefined) progress.clear();
      writer?.write(text);
      shown?.report({
        phase: `generating (${options.label})`,
        done: ++done,
        total: options.maxNewTokens,
        unit: "tokens",
      });
    }
    return await stream;
  } finally {
    interrupt.letGo();
    progress.clear();
    writer?.end();
  }
}

export function answerJson({ text, tokens, finishReason }: Generation): AnswerJson {
  return { text, tokens, finishReason };
}

export function timingsJson({ timings: { promptMs, decodeMs }, tokens }: Generation): TimingsJson {
  const later = tokens.length - 1;
  return { promptMs, decodeMs, tokensPerSecond: later > 0 ? (1000 * later) / decodeMs : null };
}

/** Prints an answer piece by piece, whole lines at the end whatever happens. */
class AnswerWriter {
  readonly #context: CommandContext;
  readonly #heading: string | undefined;
  #begun = false;
  #last = "";

  constructor(context: CommandContext, heading: string | undefined) {
    this.#context = context;
    this.#heading = heading;
  }

  write(text: string): void {
    const { stdout } = this.#context;
    if (!this.#begun && this.#heading !== undefined) {
      stdout.write(`${painter(this.#context, stdout)("bold", harmless(this.#heading))}\n`);
    }
    this.#begun = true;
    if (text === "") return;
    stdout.write(stdout.isTerminal ? harmless(text) : text);
    this.#last = text;
  }

  end(): void {
    if (this.#begun && !this.#last.endsWith("\n")) this.#context.stdout.write("\n");
  }
}
