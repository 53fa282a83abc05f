/** Instruments a graph: at each point, edits are mixed in from one shared bank of vectors, and rows can be read out. */
import { VeneError } from "../base/errors.ts";
import { Builder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/ir.ts";
import { spliceAfter } from "../graph/surgery.ts";
import { type Operation, spliceOperation } from "./operation.ts";

/**
 * One place in the graph that a session can edit or read. `edit` is what the nodes there allow: nothing, adding, also clearing
 * what was there (so "swap" can do all that "add" can), or an operation of its own. Reading sees the value before this point's
 * own edit.
 */
export interface Point {
  readonly value: string;
  readonly width: number;
  readonly edit: "none" | "add" | "swap" | "operate";
  readonly read: boolean;
  /** There where `edit` is "operate". */
  readonly operation?: Operation | undefined;
}

/** Names of the instrumented graph's further inputs and outputs. r = rows of the step, m = patterns of rows. */
export const laneNames = {
  /** float32 [r, m]: how strongly pattern m applies to row r */
  select: "edit.select",
  /** float32 [m, D]: what pattern m adds; D = the widths of all editing points, in order */
  vectors: "edit.vectors",
  /** float32 [m, C]: 1 where pattern m takes the old value away; C = the widths of the swapping points, in order */
  clears: "edit.clears",
  /** int64 [k]: the rows that reading points hand out */
  readRows: "read.rows",
  /** float32 [k, width] of point i */
  read: (point: number) => `read.${point}`,
} as const;

/** Where each point's columns lie in the two banks. */
export interface Lanes {
  readonly vectorOffsets: readonly (number | undefined)[];
  readonly vectorWidth: number;
  readonly clearOffsets: readonly (number | undefined)[];
  readonly clearWidth: number;
  readonly reads: boolean;
}

export function lanesOf(points: readonly Point[]): Lanes {
  const vectors = offsets(points, ({ edit }) => edit === "add" || edit === "swap");
  const clears = offsets(points, (point) => point.edit === "swap");
  return {
    vectorOffsets: vectors.starts,
    vectorWidth: vectors.total,
    clearOffsets: clears.starts,
    clearWidth: clears.total,
    reads: points.some((point) => point.read),
  };
}

function offsets(points: readonly Point[], counts: (point: Point) => boolean) {
  let total = 0;
  const starts = points.map((point) => {
    if (!counts(point)) return undefined;
    const start = total;
    total += point.width;
    return start;
  });
  return { starts, total };
}

/**
 * Adds the points to the graph, in order; points at one value apply one after the other. x' = x x (1 - select . clears) +
 * select . vectors. With nothing selected, x' = x bit for bit. Throws `site-unknown` for a value the graph lacks.
 */
export function instrument(graph: Graph, points: readonly Point[]): Lanes {
  const lanes = lanesOf(points);
  const builder = new Builder(graph, "edit.const");
  const select = lanes.vectorWidth > 0 ? graph.addInput(laneNames.select, "float32", ["rows", "patterns"]) : undefined;
  const added = pieces(builder, points, select, laneNames.vectors, lanes.vectorOffsets, lanes.vectorWidth);
  const kept = keptPieces(builder, points, select, lanes);
  const readRows = lanes.reads ? graph.addInput(laneNames.readRows, "int64", ["read"]) : undefined;
  points.forEach((point, i) => {
    const value = graph.find(point.value);
    if (value === undefined) throw new VeneError("site-unknown", `the graph has no value ${point.value}`);
    spliceAfter(graph, value, (x) => {
      if (point.read && readRows !== undefined) graph.addOutput(builder.gatherRows(laneNames.read(i), x, readRows));
      if (point.operation !== undefined) return spliceOperation(builder, i, point.operation, point.width, x);
      const keep = kept[i];
      const old = keep === undefined ? x : builder.mul(`edit.${i}.kept`, x, keep);
      const delta = added[i];
      if (delta !== undefined) return builder.add(`edit.${i}.edited`, old, delta);
      // A point that only reads must still come before the next point's edit.
      return point.read && old === x ? builder.identity(`read.${i}.passed`, x) : old;
    });
  });
  return lanes;
}

/** select . bank, cut into one piece per point that has a share in the bank. */
function pieces(
  builder: Builder,
  points: readonly Point[],
  select: Value | undefined,
  name: string,
  starts: readonly (number | undefined)[],
  total: number,
  finish: (product: Value) => Value = (product) => product,
): readonly (Value | undefined)[] {
  if (select === undefined || total === 0) return points.map(() => undefined);
  const bank = builder.graph.addInput(name, "float32", ["patterns", total]);
  const product = finish(builder.matmul(`${name}.rows`, select, bank));
  const shares = points.flatMap((point, i) => (starts[i] === undefined ? [] : [{ i, width: point.width }]));
  const cut = builder.split(
    shares.map(({ i }) => `${name}.${i}`),
    product,
    shares.map(({ width }) => width),
    1,
  );
  const byPoint = new Map(shares.map(({ i }, at) => [i, cut[at]!]));
  return points.map((_, i) => byPoint.get(i));
}

function keptPieces(builder: Builder, points: readonly Point[], select: Value | undefined, lanes: Lanes) {
  const finish = (product: Value) => builder.op("Sub", "edit.keep", [builder.scalar(1), product]);
  return pieces(builder, points, select, laneNames.clears, lanes.clearOffsets, lanes.clearWidth, finish);
}
