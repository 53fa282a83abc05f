/** The parts of a README.md: front matter, the user's text, and the part between markers that vene writes. */
import { VeneError } from "../base/errors.ts";

export interface CardParts {
  /** YAML between the two lines of dashes; undefined when there is none. */
  readonly frontMatter: string | undefined;
  /** The user's text before and after the generated part, as it is. */
  readonly above: string;
  readonly below: string;
  /** What stands between the marks; "" when there are none. */
  readonly generated: string;
}

const START = "<!-- vene:card: written by vene. Write above or below: text between these marks is replaced. -->";
const END = "<!-- /vene:card -->";
/** Only this part of the start is compared, so that its wording may change. */
const START_MARK = "<!-- vene:card";

/** A README of more bytes is not read. */
export const MAX_CARD_BYTES = 2 << 20;
const MAX_FRONT_MATTER = 128 << 10;

/** Bytes of a README.md as text. Throws `card-invalid` for too many of them, and for anything but UTF-8. */
export function decodeCard(bytes: Uint8Array, name: string): string {
  if (bytes.length > MAX_CARD_BYTES) throw tooLong(name, bytes.length);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw cardFault(`${name} is not UTF-8 text`, cause);
  }
}

export function tooLong(name: string, size: number): VeneError {
  return cardFault(`${name} has ${size} bytes, more than the ${MAX_CARD_BYTES} of a card`);
}

export function cardFault(message: string, cause?: unknown): VeneError {
  return new VeneError("card-invalid", message, {
    hint: "correct the README.md, or move it away and let vene write a new one",
    cause,
  });
}

/** Takes a README apart; {@link joinCard} of the parts is an equivalent README. */
export function splitCard(text: string): CardParts {
  const found = /^\ufeff?---[ \t]*\r?\n(?:([\s\S]*?)\r?\n)?---[ \t]*(?:\r?\n|$)/.exec(text);
  const frontMatter = found === null ? undefined : (found[1] ?? "");
  if (frontMatter !== undefined && frontMatter.length > MAX_FRONT_MATTER) {
    throw cardFault(`the front matter has ${frontMatter.length} characters, more than ${MAX_FRONT_MATTER}`);
  }
  const body = found === null ? text.replace(/^\ufeff/, "") : text.slice(found[0].length);
  const marks = marksIn(body);
  if (marks === undefined) return { frontMatter, above: body, below: "", generated: "" };
  return {
    frontMatter,
    above: body.slice(0, marks.start),
    generated: body.slice(body.indexOf("-->", marks.start) + 3, marks.end - END.length).trim(),
    below: body.slice(marks.end),
  };
}

/** The first mark of an end that has a start before it, with the nearest of these: stray marks never enclose the user's text. */
function marksIn(body: string): { start: number; end: number } | undefined {
  const first = body.indexOf(START_MARK);
  if (first === -1) return undefined;
  const end = body.indexOf(END, first);
  return end === -1 ? undefined : { start: body.lastIndexOf(START_MARK, end), end: end + END.length };
}

export function joinCard({ frontMatter, above, below, generated }: CardParts): string {
  const head = frontMatter === undefined ? "" : `---\n${frontMatter.trimEnd()}\n---\n`;
  return [head, above, `${START}\n\n${generated}\n\n${END}`, below]
    .map((part) => part.replace(/^\s*\n/, "").trimEnd())
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/**
 * The README to update where there are two, a folder's and the Hub's. The text the user wrote into the folder's counts, else the
 * Hub's; the generated parts of both are looked at for samples. `mergeFrontMatter` gets the folder's first.
 */
export function mergeCards(
  local: string | undefined,
  remote: string | undefined,
  mergeFrontMatter: (local: string, remote: string) => string,
): string | undefined {
  if (local === undefined || remote === undefined) return local ?? remote;
  const [mine, theirs] = [splitCard(local), splitCard(remote)];
  const { above, below } = hasOwnText(mine) ? mine : theirs;
  const frontMatter =
    mine.frontMatter === undefined || theirs.frontMatter === undefined
      ? (mine.frontMatter ?? theirs.frontMatter)
      : mergeFrontMatter(mine.frontMatter, theirs.frontMatter);
  return joinCard({ frontMatter, above, below, generated: `${mine.generated}\n\n${theirs.generated}` });
}

/** Whether merging loses text: both READMEs have some of the user's, and not the same. */
export function cardsDisagree(local: string | undefined, remote: string | undefined): boolean {
  if (local === undefined || remote === undefined) return false;
  const [mine, theirs] = [splitCard(local), splitCard(remote)];
  const text = ({ above, below }: CardParts) => `${above.trim()}\n${below.trim()}`;
  return hasOwnText(mine) && hasOwnText(theirs) && text(mine) !== text(theirs);
}

function hasOwnText({ above, below }: CardParts): boolean {
  return above.trim() !== "" || below.trim() !== "";
}

const SAMPLES_END = "<!-- /vene:samples -->";

/** Encloses samples, so that a later card of the same intervention can keep them. */
export function markSamples(samples: string, digest: string): string {
  return `<!-- vene:samples ${digest} -->\n\n${samples}\n\n${SAMPLES_END}`;
}

/** The samples in a generated part, if they are of the intervention with that digest. */
export function keptSamples(generated: string, digest: string): string | undefined {
  const start = `<!-- vene:samples ${digest} -->`;
  const from = generated.indexOf(start);
  const to = generated.indexOf(SAMPLES_END, from);
  return from === -1 || to === -1 ? undefined : generated.slice(from + start.length, to).trim();
}
