/** Types of an imported graph's values: what the file says, and for the rest what onnxruntime infers. */
import { isDType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { ModelProto } from "../formats/onnx/types.ts";
import { importGraph, type ValueTypes } from "../graph/import.ts";
import type { Graph } from "../graph/ir.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { Session } from "./ort.ts";

/** An imported graph refers to no checkpoint: its weights are where the file says. */
export function noCheckpoint(weight: string): never {
  throw new VeneError("graph-invalid", `${weight} is not a weight of an imported graph`);
}

/**
 * Types of the values whose type or rank the file leaves open, as onnxruntime infers them when all of them are outputs. Throws
 * `runtime-failed` for graphs that it cannot load.
 */
export async function inferredTypes(model: ModelProto, folder: string): Promise<ValueTypes> {
  const graph = importGraph(model);
  const open = valuesWithoutType(graph);
  if (open.length === 0) return new Map();
  const listed = new Set(graph.outputs);
  for (const value of open) if (!listed.has(value)) graph.addOutput(value);
  const session = await Session.create(serialiseGraph(graph, noCheckpoint, model), {
    weightsFolder: folder,
    threads: 1,
    unprepared: true,
  });
  const found = session.outputTypes();
  await session.release();
  return new Map(
    open.flatMap(({ name }) => {
      const output = found.get(name);
      if (output === undefined) return [];
      const shape = output.shape.map((size, axis) => (size === "" || size === -1 ? `axis ${axis}` : size));
      return [[name, { dtype: isDType(output.type) ? output.type : undefined, shape }] as const];
    }),
  );
}

function valuesWithoutType(graph: Graph) {
  return [...graph.values()].filter(
    ({ producer, dtype, shape }) => producer !== undefined && (dtype === undefined || shape === undefined),
  );
}
