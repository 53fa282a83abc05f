/** Files that are no decoders (MLPs, CNNs, encoders...): they take tensors by name, and their first output is what they answer. */
import { io } from "../arch/decoder.ts";
import { MAX_CONTEXT, type ModelShape } from "../arch/family.ts";
import { SiteTable } from "../arch/sites.ts";
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { Builder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/ir.ts";
import type { Adapted } from "./onnx-graphs.ts";
import { addValueSites } from "./onnx-sites.ts";

const inputDTypes: readonly (DType | undefined)[] = ["float32", "int64", "bool"];

/** Throws `onnx-unsupported` for inputs of other types than float32, int64 and bool, and without a float output. */
export function adaptTensors(graph: Graph): Adapted {
  const sites = new SiteTable(0);
  addValueSites(sites, graph, "tensors");
  const odd = graph.inputs.find(({ dtype, shape }) => !inputDTypes.includes(dtype) || shape === undefined);
  if (odd !== undefined) {
    throw unsupported(
      `its input ${odd.name} is ${odd.dtype ?? "of another type"} [${odd.shape ?? "?"}]`,
      "inputs must be float32, int64 or bool, of known rank",
    );
  }
  if (graph.inputs.length === 0) throw unsupported("it has no inputs", "there is nothing to compute");
  const { name, shape: size } = firstFloat(graph);
  const shape: ModelShape = {
    layers: 0,
    hiddenSize: 0,
    vocabularySize: 0,
    contextLength: MAX_CONTEXT,
    cache: [],
    tensors: {
      inputs: graph.inputs.map((input) => ({ name: input.name, dtype: input.dtype!, shape: input.shape! })),
      output: size!.slice(1),
    },
    encoder: true,
  };
  return { shape, sites, adapt: (fresh) => addLogits(fresh, fresh.find(name)!) };
}

function firstFloat(graph: Graph): Value {
  const output = graph.outputs.find(
    ({ dtype, shape }) => dtype === "float32" && shape !== undefined && shape.length > 0,
  );
  if (output !== undefined) return output;
  throw unsupported("none of its outputs is a float32 tensor with a batch axis", "there is nothing to compare runs by");
}

/** The output's rows, each flat, under the name that the runtime fetches. */
function addLogits(graph: Graph, output: Value): void {
  const builder = new Builder(graph, "logits.const");
  const taken = graph.find(io.logits);
  if (taken !== undefined) graph.rename(taken, graph.freeName(`${io.logits} of the file`));
  const rows = graph.addInput(io.logitRows, "int64", ["wanted"]);
  const flat = builder.op("Flatten", "logits.flat", [output], { axis: 1 });
  graph.addOutput(builder.gatherRows(io.logits, flat, rows));
}

function unsupported(what: string, hint: string): VeneError {
  return new VeneError("onnx-unsupported", `the ONNX model cannot be run: ${what}`, { hint });
}
