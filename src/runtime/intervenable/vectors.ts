/** The full-width vectors of one intervention's edits: what is added at a cell, and which columns lose their old value. */
import { VeneError } from "../../base/errors.ts";
import type { ExpandedCells } from "./cells.ts";
import { type Resolved, type ResolvedAffine, sourceMissing } from "./resolve.ts";

/** A run-time source's activation: the place's whole width at a real token of a row. */
export type SourceReader = (row: number, position: number) => Float32Array;

/** A part of the place: heads of it, features of it (counted within a head where there are heads), or all (undefined). */
export interface Part {
  readonly heads: readonly number[] | undefined;
  readonly columns: readonly number[] | undefined;
}

/** Features of a place that is read by heads are counted within each: naming features there is naming them in all heads. */
export function partOf({ entry, place }: Resolved, heads: Part["heads"], columns: Part["columns"]): Part {
  if (heads !== undefined || columns === undefined || entry.site.unit === "pos") return { heads, columns };
  return { heads: [...new Array(place.heads!.count).keys()], columns };
}

interface CellAddress extends Part {
  readonly row: number;
  /** Index among the row's units, and how many there are. */
  readonly unit: number;
  readonly units: number;
  readonly source: ExpandedCells;
}

/** Equal parts have equal keys. */
export function partKey({ heads, columns }: Part): string {
  return `${heads?.join() ?? ""}|${columns?.join() ?? ""}`;
}

/** Equal constant vectors are one array, so that rules with them merge and banks are reused. */
export class Vectors {
  readonly #resolved: ResolvedAffine;
  readonly #constants = new Map<string, Float32Array>();
  readonly #clears = new Map<string, Float32Array>();

  constructor(resolved: ResolvedAffine) {
    this.#resolved = resolved;
  }

  /** What is added at a cell, from a run-time source if there is a reader, else from the constant one. */
  at(read: SourceReader | undefined, cell: CellAddress): Float32Array | undefined {
    if (read === undefined) return this.constant(cell, cell.row, cell.unit, cell.units);
    const values = read(cell.row, cell.source.positions[cell.unit]!);
    return this.#placed((head, i) => values.subarray(...this.#range(cell.source.heads?.[i] ?? head)), cell, values);
  }

  /** The constant source for a cell, gain applied; undefined for kinds without source. Throws `sources-invalid`. */
  constant(part: Part, row = 0, unit = 0, units = 1): Float32Array | undefined {
    const { constant, affine } = this.#resolved;
    if (affine.gain === 0) return undefined;
    if (constant === undefined) throw sourceMissing(this.#resolved);
    const start = offsetOf(this.#resolved, constant.shape, row, unit, units);
    return remembered(this.#constants, `${start}|${partKey(part)}`, () => {
      const width = constant.shape.at(-1)!;
      const values = constant.values.subarray(start, start + width);
      const perHead = width !== this.#resolved.place.width;
      const heads = part.heads ?? (perHead ? this.#allHeads() : undefined);
      return this.#placed(
        (head) => (perHead ? values : values.subarray(...this.#range(head))),
        { ...part, heads },
        values,
      );
    });
  }

  /** 1 on the columns that lose their old value; undefined for kinds that keep it. */
  clear(part: Part): Float32Array | undefined {
    const { affine, place } = this.#resolved;
    if (affine.keep === 1) return undefined;
    return remembered(this.#clears, partKey(part), () => {
      const ones = new Float32Array(place.width).fill(1);
      return restricted(ones, this.#columnsOf(part));
    });
  }

  /** A full-width vector: `values` or, by head, what `piece` gives; zero outside the part. */
  #placed(piece: (head: number, i: number) => Float32Array, part: Part, values: Float32Array): Float32Array {
    const { place, affine } = this.#resolved;
    const out = new Float32Array(place.width);
    if (part.heads === undefined) out.set(values);
    else for (const [i, head] of part.heads.entries()) out.set(piece(head, i), this.#range(head)[0]);
    if (affine.gain === -1) for (let i = 0; i < out.length; i++) out[i] = -out[i]!;
    return restricted(out, this.#columnsOf(part));
  }

  /** Columns of the place that a part covers; undefined for all. Throws `intervention-invalid` for features that do not exist. */
  #columnsOf({ heads, columns }: Part): readonly number[] | undefined {
    const { place, entry } = this.#resolved;
    if (heads === undefined && columns === undefined) return undefined;
    const width = heads === undefined ? place.width : place.heads!.size;
    const beyond = columns?.find((column) => column >= width);
    if (beyond !== undefined) {
      throw new VeneError(
        "intervention-invalid",
        `${entry.key}: feature ${beyond} does not exist, there are ${width}`,
        {
          details: { key: entry.key, feature: beyond, width },
        },
      );
    }
    const within = columns ?? [...new Array(width).keys()];
    return heads === undefined ? within : heads.flatMap((head) => within.map((column) => head * width + column));
  }

  #range(head: number): [number, number] {
    const { size } = this.#resolved.place.heads!;
    return [head * size, (head + 1) * size];
  }

  #allHeads(): number[] {
    return [...new Array(this.#resolved.place.heads!.count).keys()];
  }
}

function remembered<T>(known: Map<string, T>, key: string, make: () => T): T {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** The same vector, zero outside the columns. */
function restricted(values: Float32Array, columns: readonly number[] | undefined): Float32Array {
  if (columns === undefined) return values;
  const out = new Float32Array(values.length);
  for (const column of columns) out[column] = values[column]!;
  return out;
}

/** Where the vector of (row, unit) starts in a constant source of shape [..., units, d]; leading sizes of 1 are shared. */
export function offsetOf(
  { entry }: Resolved,
  shape: readonly number[],
  row: number,
  unit: number,
  units: number,
): number {
  const width = shape.at(-1)!;
  const lead = shape.slice(0, -1).filter((size, i, all) => size !== 1 || i === all.length - 1);
  const [rowsOrUnits = 1, own] = lead.length === 2 ? [lead[0]!, lead[1]!] : [1, lead[0]];
  if (lead.length > 2 || (own !== undefined && own !== 1 && own !== units)) {
    throw new VeneError("sources-invalid", `${entry.key}: a source of shape [${shape}] does not fit ${units} units`, {
      hint: `name ${own ?? 1} positions in unitLocations, or give a source of one row`,
      details: { shape, units },
    });
  }
  const rowAt = rowsOrUnits === 1 ? 0 : row;
  if (rowAt >= rowsOrUnits) {
    throw new VeneError("sources-invalid", `${entry.key}: a source of ${rowsOrUnits} rows does not reach row ${row}`);
  }
  const unitAt = own === undefined || own === 1 ? 0 : unit;
  return (rowAt * (own ?? 1) + unitAt) * width;
}
