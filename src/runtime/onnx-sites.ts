/** Every value of an imported graph as a place, or with the reason why it is none. */
import type { Place, SiteTable } from "../arch/sites.ts";
import { rowsName } from "../graph/import-rows.ts";
import type { Graph, Value } from "../graph/ir.ts";
import { rowWidth } from "../graph/locate-walks.ts";

/** How a model's values are read as rows: one per token, or one per position of whatever tensors it takes. */
export type RowsBy = "tokens" | "tensors";

/** Adds the graph's values, by the names of the file. */
export function addValueSites(sites: SiteTable, graph: Graph, by: RowsBy): void {
  for (const value of graph.values()) {
    if (value.constant !== undefined) continue;
    const place = placeOf(value, by);
    if (typeof place === "string") sites.refuse({ value: value.name }, place);
    else sites.addValue(value.name, place);
  }
}

/** Far above any real model: arrays of this size are allocated on a file's word. */
const WIDEST = 2 ** 22;

/** A value's place, or why it has none. */
export function placeOf(value: Value, by: RowsBy): Place | string {
  const { dtype, shape } = value;
  if (dtype !== "float32" && dtype !== "float16") {
    return `holds ${dtype ?? "what vene has no type for"}, interventions act on float32 and float16`;
  }
  if (shape === undefined) return "has an unknown rank: neither the file nor onnxruntime's inference tells it";
  const width = by === "tokens" ? (rowWidth(value) ?? shape.at(-1)) : shape.at(-1);
  // onnxruntime tells an unknown rank and a scalar alike.
  if (shape.length < 2)
    return `has the shape [${shape}], or one that is not known: it needs an axis of features and one before it`;
  if (typeof width !== "number" || width < 1) return `has the shape [${shape}]: its last axis has no fixed size`;
  if (width > WIDEST) return `has the shape [${shape}]: more than ${WIDEST} features`;
  if (by === "tensors") return { value: rowsName(value.name), name: value.name, width, positions: shape.slice(1, -1) };
  if (shape.length > 3) return `has the shape [${shape}]: it is not one row per token`;
  const leading = shape.slice(0, -1);
  if (leading.some((size) => typeof size === "number")) return `has the shape [${shape}]: it is not one row per token`;
  return { value: rowsName(value.name), name: value.name, width };
}
