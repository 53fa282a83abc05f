/** Positions by name rather than by number: the first, the last, all, or the tokens that spell a text. */
import { VeneError } from "../../base/errors.ts";
import type { Tokenizer } from "../tokenizer.ts";

/** `{ at: "last" }`, or `{ tokens: ["Paris"] }`: every token that is part of the text, wherever it occurs, in order. */
export type NamedPositions = { readonly at: "first" | "last" | "all" } | { readonly tokens: readonly string[] };

const ends = {
  first: () => [0],
  last: (length: number) => [length - 1],
  all: (length: number) => [...new Array(length).keys()],
} as const satisfies Record<string, (length: number) => number[]>;

/** The value as {@link NamedPositions}, or undefined when it is something else. */
export function asNamedPositions(value: unknown): NamedPositions | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (entries.length !== 1) return undefined;
  const [name, content] = entries[0] as [string, unknown];
  if (name === "at" && typeof content === "string" && Object.hasOwn(ends, content)) return value as NamedPositions;
  const texts = Array.isArray(content) && content.length > 0;
  const good = texts && content.every((text) => typeof text === "string" && text.trim() !== "");
  return name === "tokens" && good ? (value as NamedPositions) : undefined;
}

/** Positions of a row of token ids. Throws `locations-invalid` for a text that the row does not have, `tokenizer-missing`. */
export function findPositions(
  named: NamedPositions,
  ids: readonly number[],
  tokenizer: Tokenizer | undefined,
): readonly number[] {
  if ("at" in named) return ends[named.at](ids.length);
  if (tokenizer === undefined) {
    throw new VeneError("tokenizer-missing", "tokens are named by their text, but the model has no tokenizer.json", {
      hint: "give positions as numbers",
    });
  }
  // Decoded from the start each time: what a token spells can depend on those before it.
  const starts = [...ids, 0].map((_, i) => tokenizer.decode(ids.slice(0, i), false).length);
  const text = tokenizer.decode(ids, false);
  return named.tokens.flatMap((wanted) => {
    const found = occurrences(text, wanted).flatMap((at) => spelling(starts, at, at + wanted.length));
    if (found.length > 0) return found;
    throw new VeneError("locations-invalid", `${JSON.stringify(wanted)} does not occur in ${quoted(text)}`, {
      hint: "give a text as it stands in the prompt, or positions as numbers",
      details: { wanted, text },
    });
  });
}

function occurrences(text: string, wanted: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) found.push(at);
  return found;
}

/** Tokens with a character in [from, to); token i spells characters [starts[i], starts[i + 1]). */
function spelling(starts: readonly number[], from: number, to: number): number[] {
  const tokens = [...new Array(starts.length - 1).keys()];
  return tokens.filter((i) => starts[i]! < to && starts[i + 1]! > from);
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
