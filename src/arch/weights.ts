/** What a checkpoint offers: names, dtypes and shapes of its tensors, without their bytes. */
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";

/** Where a tensor lies: bytes [start, end) of `file` (a path). */
export interface WeightEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

export class WeightIndex {
  readonly entries: ReadonlyMap<string, WeightEntry>;

  constructor(entries: ReadonlyMap<string, WeightEntry>) {
    this.entries = entries;
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  /** The first prefix under which `name` exists: base-model checkpoints are saved without the head's prefix. */
  prefixOf(prefixes: readonly string[], name: string): string {
    return prefixes.find((prefix) => this.has(prefix + name)) ?? prefixes[0] ?? "";
  }

  /** Throws `weights-missing` if `name` is absent or has another shape. */
  require(name: string, shape: readonly number[]): WeightEntry {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      throw new VeneError("weights-missing", `the checkpoint has no tensor ${name} [${shape}]`, {
        hint: "the download is incomplete, or config.json belongs to another checkpoint",
        details: { name, expected: shape },
      });
    }
    if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
      throw new VeneError("weights-missing", `${name} is [${entry.shape}], the config says [${shape}]`, {
        hint: "config.json and the weights belong to different models",
        details: { name, found: entry.shape, expected: shape },
      });
    }
    return entry;
  }
}
