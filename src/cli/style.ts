/** How text looks on a terminal: colours where they are wanted, and nothing from a file that could drive the terminal. */
import { styleText } from "node:util";
import type { CliIo, Output } from "./io.ts";

type Format = Parameters<typeof styleText>[0];

export type Paint = (format: Format, text: string) => string;

/** Paints for this output: on terminals, unless NO_COLOR is set (https://no-color.org) or the terminal is dumb. */
export function painter({ env }: Pick<CliIo, "env">, output: Output): Paint {
  const wanted = output.isTerminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return wanted ? (format, text) => styleText(format, text, { validateStream: false }) : (_, text) => text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Control characters, and the marks that reverse the direction of text, as visible escapes. For everything that comes from
 * files and models: names, summaries, messages, generated text.
 */
export function harmless(text: string): string {
  return text.replace(controls, (character) => {
    const code = character.codePointAt(0)!.toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code}`;
  });
}

/** The same on one line. */
export function harmlessLine(text: string): string {
  return harmless(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}
