/** What a rule is made from: units of the base, units of the source to read, features. */
import type { ExpandedCells } from "./cells.ts";
import type { Cells } from "./locations.ts";
import type { SourceReader } from "./vectors.ts";

/** Where the vectors of a run-time source come from: per row the units to read, paired with the base's in order. */
export interface SourceSide {
  readonly cells: readonly ExpandedCells[];
  readonly read: SourceReader;
}

/** Which units of the base, from which of the source, and which features (per row; undefined = all). */
export interface RuleSides {
  readonly base: readonly Cells[];
  readonly source?: SourceSide | undefined;
  readonly columns?: readonly (readonly number[])[] | undefined;
}
