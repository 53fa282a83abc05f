/** The tensor that a collecting intervention hands out: [batch, positions, width], or [batch, heads, positions, size]. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import { expandCells, type RuleContext } from "./cells.ts";
import type { Cells } from "./locations.ts";
import type { Resolved } from "./resolve.ts";

/** Per row of the batch: columns of the layout, and heads where they are addressed. */
export type CollectedUnits = readonly {
  readonly columns: readonly number[];
  readonly heads: readonly number[] | undefined;
}[];

/** Which units a collecting intervention reads. Throws `locations-invalid` when rows differ in number. */
export function collectedUnits(
  resolved: Resolved,
  cells: readonly Cells[] | undefined,
  context: RuleContext,
): CollectedUnits {
  const { layout } = context;
  const units = Array.from({ length: layout.rows }, (_, row) => {
    if (cells === undefined) return { columns: [...new Array(layout.columns).keys()], heads: undefined };
    const { positions, heads } = expandCells(cells[row]!, context, row, resolved);
    return { columns: positions.map((position) => layout.columnsOf[row]![position]!), heads };
  });
  const [first] = units;
  if (
    units.some(
      ({ columns, heads }) => columns.length !== first!.columns.length || heads?.length !== first!.heads?.length,
    )
  ) {
    throw new VeneError("locations-invalid", `${resolved.entry.key}: rows collect different numbers of units`);
  }
  return units;
}

export interface ReadValues {
  readonly units: CollectedUnits;
  readonly values: Float32Array;
  /** Columns of the batch. */
  readonly columnCount: number;
  /** Where a flattened row (row x columns + column) is in `values`. */
  readonly rowAt: ReadonlyMap<number, number>;
  /** Features per row of the batch, within a head where there are heads; undefined: all. */
  readonly chosen: readonly (readonly number[])[] | undefined;
}

/** What was read, cut to units and features. Throws `intervention-invalid` when rows choose different numbers of features. */
export function collectedTensor(resolved: Resolved, { units, values, columnCount, rowAt, chosen }: ReadValues): Tensor {
  const { place, entry } = resolved;
  const split = headsOf(resolved, columnCount);
  const width = place.attention === undefined ? place.width : place.attention.heads * columnCount;
  const heads = units[0]!.heads?.length ?? split?.count ?? 1;
  const size = split?.size ?? width;
  const features = chosen?.[0]?.length ?? size;
  if (chosen?.some((list) => list.length !== features || list.some((feature) => feature >= size))) {
    throw new VeneError(
      "intervention-invalid",
      `${entry.key}: rows collect different numbers of features, or such as do not exist`,
      {
        details: { key: entry.key, width: size },
      },
    );
  }
  const positions = units[0]!.columns.length;
  const out = new Float32Array(units.length * heads * positions * features);
  let at = 0;
  units.forEach((row, r) => {
    for (let h = 0; h < heads; h++) {
      const offset = split === undefined ? 0 : (row.heads?.[h] ?? h) * size;
      for (const column of row.columns) {
        const start = rowAt.get(r * columnCount + column)! * width + offset;
        out.set(featuresOf(values.subarray(start, start + size), chosen?.[r]), at);
        at += features;
      }
    }
  });
  const lead = split === undefined ? [units.length] : [units.length, heads];
  return Tensor.float32([...lead, positions, features], out);
}

/** The chosen features of a vector; itself where all are chosen. */
export function featuresOf(values: Float32Array, chosen: readonly number[] | undefined): Float32Array {
  return chosen === undefined ? values : Float32Array.from(chosen, (feature) => values[feature]!);
}

/** How a row is cut into heads: attention weights always are, each head as wide as the batch. */
function headsOf({ place, entry }: Resolved, columns: number): { count: number; size: number } | undefined {
  if (place.attention !== undefined) return { count: place.attention.heads, size: columns };
  return entry.site.unit === "pos" ? undefined : place.heads;
}
