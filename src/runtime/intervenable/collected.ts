/** The tensor that a collecting intervention hands out: [batch, positions, width], or [batch, heads, positions, size]. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import { expandCells } from "./cells.ts";
import type { Cells } from "./locations.ts";
import type { Resolved } from "./resolve.ts";

/** What a collecting intervention read at all rows, cut to its units. Throws `locations-invalid` when rows differ in number. */
export function collectedTensor(
  resolved: Resolved,
  values: Float32Array,
  cells: readonly Cells[] | undefined,
  batch: PromptBatch,
): Tensor {
  const { place, entry, columns: chosen } = resolved;
  const split = headsOf(resolved, batch);
  const width = place.attention === undefined ? place.width : place.attention.heads * batch.columns;
  const context = { layout: batch, promptColumns: batch.columns };
  const rows = Array.from({ length: batch.rows }, (_, row) => {
    if (cells === undefined) return { columns: [...new Array(batch.columns).keys()], heads: undefined };
    const { positions, heads } = expandCells(cells[row]!, context, row, resolved);
    return { columns: positions.map((position) => batch.columnsOf[row]![position]!), heads };
  });
  const columns = rows[0]!.columns.length;
  const heads = rows[0]!.heads?.length ?? split?.count ?? 1;
  if (rows.some((row) => row.columns.length !== columns || (row.heads?.length ?? heads) !== heads)) {
    throw new VeneError("locations-invalid", `${entry.key}: rows collect different numbers of units`);
  }
  const size = split?.size ?? width;
  const features = chosen?.length ?? size;
  const out = new Float32Array(batch.rows * heads * columns * features);
  let at = 0;
  rows.forEach((row, r) => {
    for (let h = 0; h < heads; h++) {
      const offset = split === undefined ? 0 : (row.heads?.[h] ?? h) * size;
      for (const column of row.columns) {
        const start = (r * batch.columns + column) * width + offset;
        const read = values.subarray(start, start + size);
        out.set(chosen === undefined ? read : chosen.map((feature) => read[feature]!), at);
        at += features;
      }
    }
  });
  const lead = split === undefined ? [batch.rows] : [batch.rows, heads];
  return Tensor.float32([...lead, columns, features], out);
}

/** How a row is cut into heads: attention weights always are, each head as wide as the batch. */
function headsOf({ place, entry }: Resolved, batch: PromptBatch): { count: number; size: number } | undefined {
  if (place.attention !== undefined) return { count: place.attention.heads, size: batch.columns };
  return entry.site.unit === "pos" ? undefined : place.heads;
}
