/** Units of one row spelled out: which positions, which heads, checked against the row and the place. */
import { VeneError } from "../../base/errors.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { Cells } from "./locations.ts";
import { findPositions, type NamedPositions } from "./named-positions.ts";
import type { Resolved } from "./resolve.ts";

/** The layout that rules speak about: prompt columns, then columns to be generated. */
export interface RuleContext {
  readonly layout: PromptBatch;
  readonly promptColumns: number;
  /** For positions that are named by their text. */
  readonly tokenizer: Tokenizer | undefined;
}

/** Real tokens of a row's prompt. */
export function promptLength({ layout, promptColumns }: RuleContext, row: number): number {
  return layout.columnsOf[row]!.filter((column) => column < promptColumns).length;
}

/** An index from 0, negative ones counted from the end; undefined when there is no such item. */
export function indexWithin(index: number, length: number): number | undefined {
  const at = index < 0 ? length + index : index;
  return at >= 0 && at < length ? at : undefined;
}

export interface ExpandedCells {
  readonly positions: readonly number[];
  readonly heads: readonly number[] | undefined;
}

/** Cells of one row with "all" spelled out and negatives counted from the end. Throws `locations-invalid` when out of range. */
export function expandCells(cells: Cells, context: RuleContext, row: number, resolved: Resolved): ExpandedCells {
  const positions = inRange(positionsOf(cells, context, row), promptLength(context, row), "position", resolved);
  const count = resolved.place.heads?.count ?? 0;
  return { positions, heads: cells.heads === undefined ? undefined : inRange(cells.heads, count, "head", resolved) };
}

function positionsOf({ positions }: Cells, context: RuleContext, row: number): readonly number[] | undefined {
  if (positions === undefined || !isNamed(positions)) return positions;
  const { layout, tokenizer, promptColumns } = context;
  const columns = layout.columnsOf[row]!.filter((column) => column < promptColumns);
  return findPositions(
    positions,
    Array.from(columns, (column) => layout.ids[row * layout.columns + column]!),
    tokenizer,
  );
}

function isNamed(positions: readonly number[] | NamedPositions): positions is NamedPositions {
  return !Array.isArray(positions);
}

function inRange(
  list: readonly number[] | undefined,
  length: number,
  what: string,
  { entry }: Resolved,
): readonly number[] {
  if (list === undefined) return [...new Array(length).keys()];
  return list.map((item) => {
    const at = indexWithin(item, length);
    if (at !== undefined) return at;
    throw new VeneError("locations-invalid", `${entry.key}: ${what} ${item} does not exist, there are ${length}`, {
      details: { key: entry.key, [what]: item, length },
    });
  });
}

/** Source and base must name as many units. Throws `locations-invalid`. */
export function checkPairing({ entry }: Resolved, base: ExpandedCells, source: ExpandedCells): void {
  const pairs = [
    ["positions", base.positions.length, source.positions.length],
    ["heads", base.heads?.length ?? 0, source.heads?.length ?? 0],
  ] as const;
  for (const [what, inBase, inSource] of pairs) {
    if (inBase !== inSource) {
      throw new VeneError("locations-invalid", `${entry.key}: ${inSource} source ${what} for ${inBase} base ${what}`, {
        hint: "name as many units in the source as in the base",
        details: { key: entry.key, inBase, inSource },
      });
    }
  }
}
