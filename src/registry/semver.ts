/** Semantic versions and npm's ranges of them, as far as registries need: `^`, `~`, `1.x`, comparators joined by spaces. */

/** A version taken apart; `pre` holds numbers and words. */
interface Version {
  readonly numbers: readonly [number, number, number];
  readonly pre: readonly (number | string)[];
}

type Operator = "<" | "<=" | ">" | ">=";

interface Comparator {
  readonly operator: Operator;
  readonly version: Version;
  /** The end of a range, which nobody wrote. */
  readonly implied?: true;
}

/** A range: a version is in it when every comparator says so. */
export type Range = readonly Comparator[];

const full = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?$/;

function parsed(text: string): Version {
  const [, major, minor, patch, pre] = full.exec(text)!;
  return { numbers: [Number(major), Number(minor), Number(patch)], pre: preOf(pre) };
}

function preOf(text: string | undefined): (number | string)[] {
  return text === undefined ? [] : text.split(".").map((one) => (/^\d+$/.test(one) ? Number(one) : one));
}

/** Negative where `a` comes first. Both must be versions. Pre-releases come before their release. */
export function compareVersions(a: string, b: string): number {
  return compare(parsed(a), parsed(b));
}

function compare(a: Version, b: Version): number {
  for (let i = 0; i < 3; i++) {
    const difference = a.numbers[i]! - b.numbers[i]!;
    if (difference !== 0) return difference;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return b.pre.length - a.pre.length;
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const difference = compareIdentifiers(a.pre[i], b.pre[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Fewer identifiers come first, numbers before words. */
function compareIdentifiers(a: number | string | undefined, b: number | string | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : 1;
}

export function isPrerelease(version: string): boolean {
  return version.includes("-");
}

const term =
  /^(\^|~|>=|<=|>|<|=)?\s*(\d{1,9}|[x*])(?:\.(\d{1,9}|[x*]))?(?:\.(\d{1,9}|[x*]))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+){0,9}))?$/;

/** Reads "^1.2", "~1.2.3", "1.x", "*", ">=1 <2". Undefined for anything else. An exact version is a range of one. */
export function parseRange(text: string): Range | undefined {
  const terms = text
    .trim()
    .replace(/(\^|~|>=|<=|>|<|=)\s+/g, "$1")
    .split(/\s+/);
  const comparators: Comparator[] = [];
  for (const one of terms.slice(0, MAX_TERMS + 1)) {
    const found = term.exec(one);
    const added = found === null ? undefined : comparatorsOf(found);
    if (added === undefined) return undefined;
    comparators.push(...added);
  }
  return terms.length > MAX_TERMS ? undefined : comparators;
}

const MAX_TERMS = 16;

function comparatorsOf([, operator = "=", ...parts]: readonly (string | undefined)[]): Comparator[] | undefined {
  const given = parts.slice(0, 3).map((part) => (part === undefined || /[x*]/.test(part) ? undefined : Number(part)));
  const known = given.includes(undefined) ? given.indexOf(undefined) : 3;
  const pre = preOf(parts[3]);
  if (given.slice(known).some((part) => part !== undefined) || (pre.length > 0 && known < 3)) return undefined;
  const low: Version = { numbers: [given[0] ?? 0, given[1] ?? 0, given[2] ?? 0], pre };
  // The first version that a range no longer covers; its "-0" keeps pre-releases of it out, too.
  const before = (index: number): Comparator => below(raised(low, index));
  const from: Comparator = { operator: ">=", version: low };
  if (operator === "^") return known === 0 ? [] : [from, before(caretIndex(low, known))];
  if (operator === "~") return known === 0 ? [] : [from, before(known === 1 ? 0 : 1)];
  if (operator === "=") {
    if (known === 3) return [from, { operator: "<=", version: low }];
    return known === 0 ? [] : [from, before(known - 1)];
  }
  return ordered(operator as Operator, low, known, before);
}

/** ">1" means from 2.0.0 on, "<=1.2" before 1.3.0: what is left out of a version stands for all of it. */
function ordered(
  operator: Operator,
  low: Version,
  known: number,
  before: (index: number) => Comparator,
): Comparator[] | undefined {
  const whole = operator === ">" || operator === "<=";
  if (known === 3 || !whole) {
    if (known < 3 && operator === "<") return [below(low.numbers)];
    return [{ operator, version: low }];
  }
  if (known === 0) return operator === "<=" ? [] : [below([0, 0, 0])];
  const end = before(known - 1);
  return [operator === "<=" ? end : { operator: ">=", version: { ...end.version, pre: [] } }];
}

function below(numbers: Version["numbers"]): Comparator {
  return { operator: "<", version: { numbers, pre: [0] }, implied: true };
}

/** What ^ keeps is the first number that is not zero. */
function caretIndex({ numbers }: Version, known: number): number {
  const first = numbers.slice(0, known).findIndex((number) => number !== 0);
  return first === -1 ? known - 1 : first;
}

function raised({ numbers }: Version, index: number): [number, number, number] {
  const [major, minor, patch] = numbers;
  return index === 0 ? [major + 1, 0, 0] : index === 1 ? [major, minor + 1, 0] : [major, minor, patch + 1];
}

const holds = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
} as const satisfies { [O in Operator]: (order: number) => boolean };

/**
 * Whether a version is in a range. A pre-release only is where the range names a pre-release of the same numbers: "^1.2" never
 * means "1.3.0-beta".
 */
export function satisfies(text: string, range: Range): boolean {
  const version = parsed(text);
  if (!range.every((one) => holds[one.operator](compare(version, one.version)))) return false;
  if (version.pre.length === 0) return true;
  return range.some(({ version: { numbers, pre }, implied }) => {
    return pre.length > 0 && implied !== true && numbers.join() === version.numbers.join();
  });
}
