/** Turns edits (which point, which rows, how strongly, what) into the three matrices that an instrumented graph is fed. */
import type { Lanes } from "./points.ts";

/**
 * An edit of one point in one step: on each row, with its weight, `add` is added and the columns marked in `clear` lose
 * their old value. `add` and `clear` span the point's whole width. The arrays are compared by identity when cached.
 */
export interface Edit {
  readonly point: number;
  readonly add: Float32Array | undefined;
  readonly clear: Float32Array | undefined;
  /** Row indices of the step, ascending, each once. */
  readonly rows: readonly number[];
  /** Strength per row. */
  readonly weights: readonly number[];
}

/** float32 matrices, row-major. */
export interface Bank {
  /** [rows, patterns] */
  readonly select: Float32Array;
  readonly patterns: number;
  /** [patterns, lanes.vectorWidth] */
  readonly vectors: Float32Array;
  /** [patterns, lanes.clearWidth] */
  readonly clears: Float32Array;
}

type Pattern = Edit[];

/** Builds banks, keeping the last vectors and clears: while a generation repeats the same edits only `select` is new. */
export class BankBuilder {
  readonly #lanes: Lanes;
  #last: { patterns: Pattern[]; vectors: Float32Array; clears: Float32Array } | undefined;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  /** Edits of different points that share rows and weights share a pattern; no edits at all are one pattern of zeros. */
  build(edits: readonly Edit[], rows: number): Bank {
    const patterns = patternsOf(edits);
    const count = Math.max(1, patterns.length);
    const select = new Float32Array(rows * count);
    patterns.forEach((pattern, column) => {
      const { rows: on, weights } = pattern[0]!;
      on.forEach((row, i) => {
        select[row * count + column] = weights[i]!;
      });
    });
    const { vectors, clears } = this.#banks(patterns, count);
    return { select, patterns: count, vectors, clears };
  }

  #banks(patterns: Pattern[], count: number): { vectors: Float32Array; clears: Float32Array } {
    if (this.#last !== undefined && samePatterns(this.#last.patterns, patterns)) return this.#last;
    const { vectorWidth, vectorOffsets, clearWidth, clearOffsets } = this.#lanes;
    const vectors = new Float32Array(count * vectorWidth);
    const clears = new Float32Array(count * clearWidth);
    patterns.forEach((pattern, row) => {
      for (const edit of pattern) {
        if (edit.add !== undefined) vectors.set(edit.add, row * vectorWidth + vectorOffsets[edit.point]!);
        if (edit.clear !== undefined) clears.set(edit.clear, row * clearWidth + clearOffsets[edit.point]!);
      }
    });
    this.#last = { patterns, vectors, clears };
    return this.#last;
  }
}

function patternsOf(edits: readonly Edit[]): Pattern[] {
  const found = new Map<string, Pattern[]>();
  for (const edit of edits) {
    if (edit.rows.length === 0) continue;
    const key = `${edit.rows.join()}|${edit.weights.join()}`;
    const alike = found.get(key) ?? [];
    const free = alike.find((pattern) => pattern.every((other) => other.point !== edit.point));
    if (free === undefined) alike.push([edit]);
    else free.push(edit);
    found.set(key, alike);
  }
  return [...found.values()].flat();
}

function samePatterns(one: readonly Pattern[], other: readonly Pattern[]): boolean {
  return (
    one.length === other.length &&
    one.every((pattern, i) => {
      const twin = other[i]!;
      return (
        pattern.length === twin.length &&
        pattern.every((edit, j) => {
          const same = twin[j]!;
          return edit.point === same.point && edit.add === same.add && edit.clear === same.clear;
        })
      );
    })
  );
}
