/** From locations and token policies to rules: which vector is added, and what is cleared, at which cells of the layout. */
import { VeneError } from "../../base/errors.ts";
import type { TokensPolicy } from "../../spec/tokens.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import type { Cells } from "./locations.ts";
import type { Resolved } from "./resolve.ts";

/** One edit at all cells marked in `touches` ([rows x columns] of the layout), with one strength per row. */
export interface Rule {
  /** Index of the intervention, which is its index among the points. */
  readonly index: number;
  readonly add: Float32Array | undefined;
  readonly clear: Float32Array | undefined;
  readonly touches: Uint8Array;
  readonly strengths: readonly number[];
}

/** A run-time source's activation: the place's whole width at a real token of a row. */
export type SourceReader = (row: number, position: number) => Float32Array;

/** Where the vectors of a run-time source come from: per row the units to read, paired with the base's in order. */
export interface SourceSide {
  readonly cells: readonly ExpandedCells[];
  readonly read: SourceReader;
}

/** The layout that rules speak about: prompt columns, then columns to be generated. */
export interface RuleContext {
  readonly layout: PromptBatch;
  readonly promptColumns: number;
}

/** Cells a tokens policy marks. Throws `tokens-invalid` for a position beyond a row's prompt. */
export function policyMask(policy: TokensPolicy, { layout, promptColumns }: RuleContext): Uint8Array {
  const mask = new Uint8Array(layout.rows * layout.columns);
  for (let row = 0; row < layout.rows; row++) {
    const columns = layout.columnsOf[row]!;
    const length = columns.filter((column) => column < promptColumns).length;
    const mark = (position: number) => {
      mask[row * layout.columns + columns[position]!] = 1;
    };
    for (const position of promptPositions(policy, length, row)) mark(position);
    const { from, to } = generatedRange(policy);
    for (let i = from; i < Math.min(to, columns.length - length); i++) mark(length + i);
  }
  return mask;
}

function promptPositions({ prompt }: TokensPolicy, length: number, row: number): readonly number[] {
  if (prompt === "none") return [];
  if (prompt === "all") return [...new Array(length).keys()];
  if (prompt === "last") return [length - 1];
  return prompt.map((position) => {
    const at = position < 0 ? length + position : position;
    if (at >= 0 && at < length) return at;
    throw new VeneError("tokens-invalid", `position ${position} is outside the ${length} tokens of prompt ${row}`, {
      details: { position, length, row },
    });
  });
}

function generatedRange({ generated }: TokensPolicy): { from: number; to: number } {
  if (generated === "none") return { from: 0, to: 0 };
  if (generated === "all") return { from: 0, to: Number.POSITIVE_INFINITY };
  return { from: generated.from, to: generated.to ?? Number.POSITIVE_INFINITY };
}

/** The rule of an intervention without run-time source at the cells of a mask, all heads alike. */
export function maskRule(resolved: Resolved, index: number, touches: Uint8Array, strengths: readonly number[]): Rule {
  const vectors = new Vectors(resolved);
  return { index, add: vectors.constant(0, 0, 1, undefined), clear: vectors.clear(undefined), touches, strengths };
}

/** Rules of one intervention at explicit cells per row. Throws `locations-invalid`, `sources-invalid`. */
export function cellRules(
  resolved: Resolved,
  index: number,
  sides: { readonly base: readonly Cells[]; readonly source?: SourceSide | undefined },
  context: RuleContext,
  strengths: readonly number[],
): Rule[] {
  const { layout } = context;
  const vectors = new Vectors(resolved);
  const rules = new Map<string, Rule>();
  const owners = new Map<string, Rule>();
  const ids = new Map<Float32Array | undefined, number>();
  for (let row = 0; row < layout.rows; row++) {
    const base = expandCells(sides.base[row]!, context, row, resolved);
    const source = sides.source?.cells[row] ?? base;
    checkPairing(resolved, base, source);
    base.positions.forEach((position, k) => {
      const add = vectors.at(sides.source?.read, { row, unit: k, units: base.positions.length, base, source });
      const clear = vectors.clear(base.heads);
      if (!ids.has(add)) ids.set(add, ids.size);
      const heads = base.heads?.join() ?? "";
      const key = `${ids.get(add)}|${heads}`;
      const rule = rules.get(key) ?? {
        index,
        add,
        clear,
        touches: new Uint8Array(layout.rows * layout.columns),
        strengths,
      };
      rules.set(key, rule);
      const cell = row * layout.columns + layout.columnsOf[row]![position]!;
      // A unit named twice is written once, as pyvene's scatter does: the last one stays.
      const owner = owners.get(`${cell}|${heads}`);
      if (owner !== undefined) owner.touches[cell] = 0;
      owners.set(`${cell}|${heads}`, rule);
      rule.touches[cell] = 1;
    });
  }
  return [...rules.values()];
}

export interface ExpandedCells {
  readonly positions: readonly number[];
  readonly heads: readonly number[] | undefined;
}

/** Cells of one row with "all" spelled out and negatives counted from the end. Throws `locations-invalid` when out of range. */
export function expandCells(
  cells: Cells,
  { layout, promptColumns }: RuleContext,
  row: number,
  resolved: Resolved,
): ExpandedCells {
  const length = layout.columnsOf[row]!.filter((column) => column < promptColumns).length;
  const positions = inRange(cells.positions, length, "position", resolved);
  const count = resolved.place.heads?.count ?? 0;
  return { positions, heads: cells.heads === undefined ? undefined : inRange(cells.heads, count, "head", resolved) };
}

function inRange(
  list: readonly number[] | undefined,
  length: number,
  what: string,
  { entry }: Resolved,
): readonly number[] {
  if (list === undefined) return [...new Array(length).keys()];
  return list.map((item) => {
    const at = item < 0 ? length + item : item;
    if (at >= 0 && at < length) return at;
    throw new VeneError("locations-invalid", `${entry.key}: ${what} ${item} does not exist, there are ${length}`, {
      details: { key: entry.key, [what]: item, length },
    });
  });
}

function checkPairing({ entry }: Resolved, base: ExpandedCells, source: ExpandedCells): void {
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

interface CellAddress {
  readonly row: number;
  /** Index among the row's units, and how many there are. */
  readonly unit: number;
  readonly units: number;
  readonly base: ExpandedCells;
  readonly source: ExpandedCells;
}

/** Makes the full-width vectors of rules; equal constant vectors are one array, so that rules with them merge. */
class Vectors {
  readonly #resolved: Resolved;
  readonly #constants = new Map<string, Float32Array>();
  readonly #clears = new Map<string, Float32Array>();

  constructor(resolved: Resolved) {
    this.#resolved = resolved;
  }

  at(read: SourceReader | undefined, cell: CellAddress): Float32Array | undefined {
    if (read === undefined) return this.constant(cell.row, cell.unit, cell.units, cell.base.heads);
    const values = read(cell.row, cell.source.positions[cell.unit]!);
    return this.#placed(
      (head, i) => values.subarray(...this.#range(cell.source.heads?.[i] ?? head)),
      cell.base.heads,
      values,
    );
  }

  /** The constant source for a cell, gain applied; undefined for kinds without source. Throws `sources-invalid`. */
  constant(row: number, unit: number, units: number, heads: readonly number[] | undefined): Float32Array | undefined {
    const { constant, kind, entry } = this.#resolved;
    if (kind.affine.gain === 0) return undefined;
    if (constant === undefined) {
      throw new VeneError("sources-invalid", `${entry.key} has no constant source and no source was given for it`, {
        hint: "pass sources",
        details: { key: entry.key },
      });
    }
    const start = offsetOf(this.#resolved, constant.shape, row, unit, units);
    const key = `${start}|${heads?.join() ?? "all"}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const width = constant.shape.at(-1)!;
    const values = constant.values.subarray(start, start + width);
    const perHead = width !== this.#resolved.place.width;
    const piece = (head: number) => (perHead ? values : values.subarray(...this.#range(head)));
    const made = this.#placed(piece, heads ?? (perHead ? this.#allHeads() : undefined), values);
    this.#constants.set(key, made);
    return made;
  }

  /** 1 on the columns that lose their old value; undefined for kinds that keep it. */
  clear(heads: readonly number[] | undefined): Float32Array | undefined {
    const { kind, place } = this.#resolved;
    if (kind.affine.keep === 1) return undefined;
    const key = heads?.join() ?? "all";
    const known = this.#clears.get(key);
    if (known !== undefined) return known;
    const made = new Float32Array(place.width).fill(heads === undefined ? 1 : 0);
    for (const head of heads ?? []) made.fill(1, ...this.#range(head));
    this.#clears.set(key, made);
    return made;
  }

  /** A full-width vector: all of `values`, or zero but for the given heads' columns, each filled from `piece`. */
  #placed(
    piece: (head: number, i: number) => Float32Array,
    heads: readonly number[] | undefined,
    values: Float32Array,
  ): Float32Array {
    const { place, kind } = this.#resolved;
    const out = new Float32Array(place.width);
    if (heads === undefined) out.set(values);
    else for (const [i, head] of heads.entries()) out.set(piece(head, i), this.#range(head)[0]);
    if (kind.affine.gain === -1) for (let i = 0; i < out.length; i++) out[i] = -out[i]!;
    return out;
  }

  #range(head: number): [number, number] {
    const { size } = this.#resolved.place.heads!;
    return [head * size, (head + 1) * size];
  }

  #allHeads(): number[] {
    return [...new Array(this.#resolved.place.heads!.count).keys()];
  }
}

/** Where the vector of (row, unit) starts in a constant source of shape [..., units, d]; leading sizes of 1 are shared. */
function offsetOf({ entry }: Resolved, shape: readonly number[], row: number, unit: number, units: number): number {
  const width = shape.at(-1)!;
  const lead = shape.slice(0, -1).filter((size, i, all) => size !== 1 || i === all.length - 1);
  const [rowsOrUnits = 1, own] = lead.length === 2 ? [lead[0]!, lead[1]!] : [1, lead[0]];
  if (lead.length > 2 || (own !== undefined && own !== 1 && own !== units)) {
    throw new VeneError("sources-invalid", `${entry.key}: a source of shape [${shape}] does not fit ${units} units`, {
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
