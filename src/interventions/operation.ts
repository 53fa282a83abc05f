/** The lane of kinds that emit nodes: at a point, blocks are gathered, changed and written back; everything else stays. */
import { elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { Operator } from "./kind.ts";

/** What is built into a graph at an operating point. Tensors, sources and strengths are fed at each step. */
export interface Operation {
  /** Equal for operations that a session can exchange for one another. */
  readonly signature: string;
  readonly operator: Operator;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tensors: { readonly [role: string]: readonly number[] };
  /** Width of a cell: the point's whole width, or one head's. */
  readonly cellWidth: number;
  /** Cells per block, side by side in one vector. */
  readonly units: number;
  /** How many features there are to choose from; undefined: none. */
  readonly features: number | undefined;
  /** Value and width of the module's input, where the operator needs it. */
  readonly input: { readonly value: string; readonly width: number } | undefined;
}

/** An operation with its signature. `identity` names the operator. */
export function operationOf(identity: string, operation: Omit<Operation, "signature">): Operation {
  const { operator: _, ...facts } = operation;
  return { ...operation, signature: JSON.stringify([identity, facts]) };
}

/** Names of an operating point's inputs. k = blocks of the step. */
export const operationNames = {
  /** int64 [k, units, 1]: row x cells per row + cell */
  cells: (point: number) => `operate.${point}.cells`,
  /** float32 [k, 1] */
  strength: (point: number) => `operate.${point}.strength`,
  /** float32 [k, n] */
  source: (point: number) => `operate.${point}.source`,
  /** float32 [k, features] */
  select: (point: number) => `operate.${point}.select`,
  /** The tensor in a role. */
  tensor: (point: number, role: string) => `operate.${point}.tensor.${role}`,
} as const;

/**
 * The value with its blocks changed: base + strength x (emitted - base), scattered back. Without blocks it is the same value.
 * Throws `site-unknown` when the graph lacks the module's input, `graph-invalid` when a user's emit gives no value.
 */
export function spliceOperation(builder: Builder, point: number, operation: Operation, width: number, x: Value): Value {
  const { graph } = builder;
  const { operator, units, cellWidth } = operation;
  const cells = graph.addInput(operationNames.cells(point), "int64", [`blocks.${point}`, units, 1]);
  const strength = graph.addInput(operationNames.strength(point), "float32", [`blocks.${point}`, 1]);
  const view = cellWidth === width ? x : builder.reshape(`operate.${point}.view`, x, [-1, cellWidth]);
  const gather = (name: string, value: Value) =>
    builder.op("Flatten", `${name}.flat`, [builder.op("GatherND", name, [value, cells])], { axis: 1 });
  const base = gather(`operate.${point}.base`, view);
  const emitted = operator.emit(builder, {
    base,
    source: operator.takesSource ? blockInput(builder, point, "source", units * cellWidth) : undefined,
    select: operation.features === undefined ? undefined : blockInput(builder, point, "select", operation.features),
    input:
      operation.input === undefined ? undefined : gather(`operate.${point}.input`, inputOf(builder, operation.input)),
    tensors: tensorInputs(builder, point, operation),
    parameters: operation.parameters,
  });
  if (emitted?.name === undefined) throw new VeneError("graph-invalid", "emit returned no value");
  const change = builder.mul(`operate.${point}.change`, builder.sub(`operate.${point}.full`, emitted, base), strength);
  const changed = builder.add(`operate.${point}.changed`, base, change);
  const updates = builder.reshape(`operate.${point}.cells.changed`, changed, [-1, units, cellWidth]);
  const written = builder.op("ScatterND", `operate.${point}.written`, [view, cells, updates]);
  return cellWidth === width ? written : builder.reshape(`operate.${point}.rows`, written, [-1, width]);
}

function blockInput(builder: Builder, point: number, name: "source" | "select", width: number): Value {
  return builder.graph.addInput(operationNames[name](point), "float32", [`blocks.${point}`, width]);
}

function tensorInputs(builder: Builder, point: number, { tensors }: Operation): { [role: string]: Value } {
  const entries = Object.entries(tensors).map(([role, shape]) => {
    return [role, builder.graph.addInput(operationNames.tensor(point, role), "float32", shape)] as const;
  });
  return Object.fromEntries(entries);
}

function inputOf(builder: Builder, { value }: { readonly value: string }): Value {
  const found = builder.graph.find(value);
  if (found !== undefined) return found;
  throw new VeneError("site-unknown", `the graph has no value ${value}`);
}

/** What one operating point does in one step. Arrays are row-major over blocks. */
export interface OperationEdit {
  readonly point: number;
  /** [k, units] */
  readonly cells: readonly number[];
  /** [k, n] */
  readonly source: Float32Array | undefined;
  /** [k, features] */
  readonly select: Float32Array | undefined;
  /** [k] */
  readonly strengths: readonly number[];
  readonly tensors: { readonly [role: string]: Float32Array };
}

interface Feed {
  readonly dtype: "float32" | "int64";
  readonly data: Float32Array | BigInt64Array;
  readonly shape: readonly number[];
}

/** One array of zeros for all that is fed to points nobody uses; its pages are never touched, so it takes no memory. */
let zeros = new Float32Array(0);

function zerosOf(length: number): Float32Array {
  if (zeros.length < length) zeros = new Float32Array(length);
  return zeros.subarray(0, length);
}

/** All inputs of an operating point; without an edit they hold no blocks. */
export function operationFeeds(
  point: number,
  operation: Operation,
  edit: OperationEdit | undefined,
): Record<string, Feed> {
  const { units, features, cellWidth, operator } = operation;
  const blocks = edit === undefined ? 0 : edit.strengths.length;
  const matrix = (data: Float32Array | undefined, width: number): Feed => {
    return { dtype: "float32", data: data ?? new Float32Array(0), shape: [blocks, width] };
  };
  const feeds: Record<string, Feed> = {
    [operationNames.cells(point)]: {
      dtype: "int64",
      data: BigInt64Array.from(edit?.cells ?? [], BigInt),
      shape: [blocks, units, 1],
    },
    [operationNames.strength(point)]: matrix(Float32Array.from(edit?.strengths ?? []), 1),
  };
  if (operator.takesSource) feeds[operationNames.source(point)] = matrix(edit?.source, units * cellWidth);
  if (features !== undefined) feeds[operationNames.select(point)] = matrix(edit?.select, features);
  for (const [role, shape] of Object.entries(operation.tensors)) {
    feeds[operationNames.tensor(point, role)] = {
      dtype: "float32",
      data: edit?.tensors[role] ?? zerosOf(elementCount(shape)),
      shape,
    };
  }
  return feeds;
}
