/** pyvene's unit_locations in all their spellings, read into one form: per leg, intervention and row, which units. */
import { VeneError } from "../../base/errors.ts";
import type { Unit } from "../../spec/sites.ts";
import { asNamedPositions, type NamedPositions } from "./named-positions.ts";

/** What one intervention touches in one row; undefined = all of them. Positions count a row's real tokens; negative from the end. */
export interface Cells {
  readonly positions: readonly number[] | NamedPositions | undefined;
  readonly heads: readonly number[] | undefined;
}

/** Per intervention, per row. An undefined intervention is touched everywhere. */
export type SideCells = readonly (readonly Cells[] | undefined)[];

export interface Leg {
  readonly source: SideCells;
  readonly base: SideCells;
}

/**
 * One side: a number, a name (`{ at: "last" }`, `{ tokens: ["Paris"] }`), a list, or nested lists per intervention and row; for
 * unit h.pos a pair [heads, positions] per intervention. A name may stand wherever a row's positions do.
 */
export type SideLocations = null | number | NamedPositions | readonly unknown[];

/** `{ base: ... }`, `{ "sources->base": ... }`, or in serial mode `{ "source_0->source_1": ..., "source_1->base": ... }`. */
export type UnitLocations = Readonly<Record<string, SideLocations>>;

export interface LocationContext {
  /** Unit of each intervention, in order. */
  readonly units: readonly Unit[];
  /** Rows of the batch. */
  readonly rows: number;
}

/** All positions, all heads. */
export const everywhere: Cells = { positions: undefined, heads: undefined };

/** A leg that touches everything. */
export function wholeLeg(context: LocationContext): Leg {
  const side = context.units.map(() => undefined);
  return { source: side, base: side };
}

/**
 * Reads one entry of unit_locations. As in pyvene, one number stands for source and base, and exactly two numbers are the
 * pair (source, base) under every key: `{ base: [2, 8] }` is position 8; two positions are `[[[2, 8]]]`.
 * Throws `locations-invalid`.
 */
export function readLeg(key: string, value: SideLocations, context: LocationContext): Leg {
  const baseOnly = key === "base";
  const none = wholeLeg(context).source;
  const pair = pairOf(value, baseOnly);
  if (pair !== undefined) {
    return { source: readSide(key, pair[0], context), base: readSide(key, pair[1], context) };
  }
  const side = readSide(key, value, context);
  return { source: baseOnly ? none : side, base: side };
}

function pairOf(value: SideLocations, baseOnly: boolean): readonly [SideLocations, SideLocations] | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [source, base] = value;
  const plain = (side: unknown) => side === null || typeof side === "number";
  if (plain(source) && plain(base)) return [source, base];
  return baseOnly ? undefined : [source, base];
}

function readSide(key: string, value: SideLocations, context: LocationContext): SideCells {
  const { units, rows } = context;
  const named = asNamedPositions(value);
  if (named !== undefined) return units.map((unit) => repeat(namedCells(key, named, unit), rows));
  if (value === null) return units.map(() => undefined);
  if (typeof value === "number") return units.map((unit) => repeat(flatCells(key, [value], unit), rows));
  if (!Array.isArray(value)) throw invalid(key, `expected a number or a list, found ${JSON.stringify(value)}`);
  if (value.length > 0 && value.every((item) => typeof item === "number")) {
    return units.map((unit) => repeat(flatCells(key, value as number[], unit), rows));
  }
  if (value.length !== units.length) {
    throw invalid(key, `${value.length} entries for ${units.length} interventions`);
  }
  return units.map((unit, i) => readIntervention(`${key}[${i}]`, value[i], unit, rows));
}

function repeat(cells: Cells, rows: number): Cells[] {
  return new Array<Cells>(rows).fill(cells);
}

function flatCells(key: string, list: readonly number[], unit: Unit): Cells {
  if (unit === "h.pos") throw invalid(key, "unit h.pos needs [heads, positions] per intervention, not a flat list");
  return unit === "h"
    ? { ...everywhere, heads: integers(key, list) }
    : { ...everywhere, positions: integers(key, list) };
}

function namedCells(key: string, named: NamedPositions, unit: Unit): Cells {
  if (unit === "pos") return { ...everywhere, positions: named };
  throw invalid(key, `unit ${unit} counts heads: give their numbers`);
}

function rowCells(key: string, row: unknown, unit: Unit): Cells {
  const named = asNamedPositions(row);
  return named === undefined ? flatCells(key, asList(row), unit) : namedCells(key, named, unit);
}

function readIntervention(key: string, value: unknown, unit: Unit, rows: number): readonly Cells[] | undefined {
  if (value === null) return undefined;
  const named = asNamedPositions(value);
  if (named !== undefined) return repeat(namedCells(key, named, unit), rows);
  if (!Array.isArray(value)) throw invalid(key, `expected a list per row, found ${JSON.stringify(value)}`);
  if (unit !== "h.pos") return spread(key, value, rows).map((row) => rowCells(key, row, unit));
  if (value.length !== 2) throw invalid(key, `unit h.pos needs [heads, positions], found ${value.length} entries`);
  const heads = spread(`${key} heads`, asList(value[0]), rows);
  const positions = spread(`${key} positions`, asList(value[1]), rows);
  return heads.map((row, r) => ({
    heads: integers(key, asList(row)),
    positions: asNamedPositions(positions[r]) ?? integers(key, asList(positions[r])),
  }));
}

/** One entry per row; a single entry serves every row. */
function spread(key: string, list: readonly unknown[], rows: number): readonly unknown[] {
  if (list.length === rows) return list;
  if (list.length === 1) return new Array<unknown>(rows).fill(list[0]);
  throw invalid(key, `${list.length} rows for a batch of ${rows}`);
}

function asList(value: unknown): readonly number[] {
  return (Array.isArray(value) ? value : [value]) as readonly number[];
}

function integers(key: string, list: readonly number[]): readonly number[] {
  if (list.length > 0 && list.every((item) => Number.isSafeInteger(item))) return list;
  throw invalid(key, `expected whole numbers, found ${JSON.stringify(list)}`);
}

function invalid(key: string, what: string): VeneError {
  return new VeneError("locations-invalid", `unit locations ${key}: ${what}`, {
    hint: 'write { "base": 3 }, { "sources->base": [3, 5] }, per intervention and row { "base": [[[3, 4]]] }, or { "base": { "at": "last" } }',

    details: { key },
  });
}
