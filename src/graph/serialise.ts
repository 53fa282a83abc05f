/** Writes a graph as an ONNX model whose large weights stay where they are: external data with file, offset and length. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { encodeModel } from "../formats/onnx/codec.ts";
import { dataTypeOf } from "../formats/onnx/dtypes.ts";
import { attributeTypes, dataLocations } from "../formats/onnx/messages.ts";
import type { Init } from "../formats/onnx/types.ts";
import { checkGraph } from "./check.ts";
import { type Attributes, Float, type Graph, type Node, type Value } from "./ir.ts";
import { topologicalOrder } from "./order.ts";

/** Newest versions that onnxruntime 1.30 loads and whose operators the compilers use. */
const IR_VERSION = 11n;
const OPSET = 23n;

/** Where a weight's bytes are; `location` is relative to the folder that the session is told. */
export interface WeightLocation {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Checks the graph and encodes it. `locate` says where each referenced weight lies. Throws `graph-invalid`. */
export function serialiseGraph(graph: Graph, locate: (weight: string) => WeightLocation): Uint8Array {
  checkGraph(graph);
  const constants = [...graph.values()].filter((value) => value.constant !== undefined && value.uses.size > 0);
  return encodeModel({
    irVersion: IR_VERSION,
    producerName: "vene",
    opsetImport: [
      { domain: "", version: OPSET },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: {
      name: graph.name,
      node: topologicalOrder(graph).map(nodeProto),
      initializer: constants.map((value) => initializerProto(value, locate)),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
    },
  });
}

function nodeProto(node: Node): Init<"NodeProto"> {
  return {
    opType: node.op,
    domain: node.domain,
    name: node.outputs[0]?.name ?? node.op,
    input: node.inputs.map((value) => value?.name ?? ""),
    output: node.outputs.map((value) => value.name),
    attribute: Object.entries(node.attributes).map(([name, value]) => ({ name, ...attributeProto(value) })),
  };
}

function attributeProto(value: Attributes[string]): Init<"AttributeProto"> {
  if (value instanceof Float) return { type: attributeTypes.float, f: value.value };
  if (value instanceof Tensor) return { type: attributeTypes.tensor, t: tensorProto("", value) };
  if (typeof value === "string") return { type: attributeTypes.string, s: new TextEncoder().encode(value) };
  if (typeof value === "object") return listProto(value as readonly (number | bigint | string)[]);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new VeneError("graph-invalid", `the attribute value ${value} is not an integer: wrap it in Float`);
  }
  return { type: attributeTypes.int, i: BigInt(value) };
}

function listProto(values: readonly (number | bigint | string)[]): Init<"AttributeProto"> {
  if (values.every((value) => typeof value === "string")) {
    return { type: attributeTypes.strings, strings: values.map((value) => new TextEncoder().encode(value)) };
  }
  return { type: attributeTypes.ints, ints: values.map((value) => BigInt(value)) };
}

function tensorProto(name: string, tensor: Tensor): Init<"TensorProto"> {
  return { name, dims: tensor.shape.map(BigInt), dataType: dataTypeOf(tensor.dtype), rawData: tensor.bytes };
}

function initializerProto(value: Value, locate: (weight: string) => WeightLocation): Init<"TensorProto"> {
  const constant = value.constant!;
  if (constant instanceof Tensor) return tensorProto(value.name, constant);
  const { location, offset, length } = locate(constant.weight);
  return {
    name: value.name,
    dims: (value.shape as readonly number[]).map(BigInt),
    dataType: dataTypeOf(value.dtype),
    dataLocation: dataLocations.external,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: String(offset) },
      { key: "length", value: String(length) },
    ],
  };
}

function valueInfo(value: Value): Init<"ValueInfoProto"> {
  const elemType = dataTypeOf(value.dtype);
  if (value.shape === undefined) return { name: value.name, type: { tensorType: { elemType } } };
  const dim = value.shape.map((size) => (typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }));
  return { name: value.name, type: { tensorType: { elemType, shape: { dim } } } };
}
