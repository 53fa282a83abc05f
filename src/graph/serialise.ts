/** Writes a graph as an ONNX model whose large weights stay where they are: external data with file, offset and length. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { encodeModel } from "../formats/onnx/codec.ts";
import { dataTypeOf } from "../formats/onnx/dtypes.ts";
import { attributeTypes, dataLocations } from "../formats/onnx/messages.ts";
import type { Init, NodeProto } from "../formats/onnx/types.ts";
import { checkGraph } from "./check.ts";
import { capturedNames } from "./import-bodies.ts";
import { type Attributes, Body, Float, type Graph, type Node, StoredTensor, type Value } from "./ir.ts";
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

/** What a model file says besides its graph; here, for graphs that vene wrote. */
const ownHeader: Init<"ModelProto"> = {
  irVersion: IR_VERSION,
  producerName: "vene",
  opsetImport: [
    { domain: "", version: OPSET },
    { domain: "com.microsoft", version: 1n },
  ],
};

/** From this version on, initialisers need not be listed among the inputs. */
const OLDEST_IR = 4n;

/**
 * Checks the graph and encodes it. `locate` says where each referenced weight lies; `header` is the model that the graph was
 * imported from, whose operator sets and functions are kept. Throws `graph-invalid`.
 */
export function serialiseGraph(
  graph: Graph,
  locate: (weight: string) => WeightLocation,
  header: Init<"ModelProto"> = ownHeader,
): Uint8Array {
  const irVersion = header.irVersion ?? 0n;
  return encodeModel({
    ...header,
    irVersion: irVersion < OLDEST_IR ? OLDEST_IR : irVersion,
    graph: graphProto(graph, graph.inputs, locate, (value) => value.name),
  });
}

type Locate = (weight: string) => WeightLocation;
type NameOf = (value: Value) => string;

function graphProto(graph: Graph, inputs: readonly Value[], locate: Locate, nameOf: NameOf): Init<"GraphProto"> {
  checkGraph(graph);
  const outputs = new Set(graph.outputs);
  const constants = [...graph.values()].filter(
    (value) => value.constant !== undefined && (value.uses.size > 0 || outputs.has(value)),
  );
  return {
    ...graph.stored,
    name: graph.name,
    node: topologicalOrder(graph).map((node) => nodeProto(node, locate, nameOf)),
    initializer: constants.map((value) => initializerProto(value, locate)),
    input: inputs.map(valueInfo),
    output: graph.outputs.map(valueInfo),
  };
}

/** Optional inputs left out at the end are not written: onnxruntime's LayerNormalization crashes on an empty name there. */
function withoutTrailing(inputs: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  return inputs.slice(0, inputs.findLastIndex((value) => value !== undefined) + 1);
}

function nodeProto(node: Node, locate: Locate, nameOf: NameOf): Init<"NodeProto"> {
  if (node.stored !== undefined) return storedNode(node, node.stored, nameOf);
  const attributes = Object.entries(node.attributes);
  const captured = attributes.reduce(
    (most, [, value]) => Math.max(most, value instanceof Body ? value.captured : 0),
    0,
  );
  const own = node.inputs.slice(0, node.inputs.length - captured);
  const around = node.inputs.slice(own.length).map((value) => nameOf(value!));
  const proto = (value: Attributes[string]) =>
    value instanceof Body ? bodyProto(value, around, locate) : attributeProto(value);
  return {
    opType: node.op,
    domain: node.domain,
    name: node.outputs[0]?.name ?? node.op,
    input: withoutTrailing(own).map((value) => (value === undefined ? "" : nameOf(value))),
    output: node.outputs.map((value) => value.name),
    attribute: attributes.map(([name, value]) => ({ name, ...proto(value) })),
  };
}

/** An imported node with the names its values have now. Its bodies name what they capture themselves. */
function storedNode(node: Node, stored: NodeProto, nameOf: NameOf): Init<"NodeProto"> {
  const names = node.inputs.map((value) => (value === undefined ? "" : nameOf(value)));
  const captured = capturedNames(stored);
  captured.forEach((name, i) => {
    const now = names[stored.input.length + i];
    if (now !== name) throw new VeneError("graph-invalid", `a body of a ${node.op} reads ${name}, which is now ${now}`);
  });
  const outputs = node.outputs.values();
  return {
    ...stored,
    input: names.slice(0, stored.input.length),
    output: stored.output.map((name) => (name === "" ? "" : outputs.next().value!.name)),
  };
}

/** `around`: names of the values that the body captures. */
function bodyProto(body: Body, around: readonly string[], locate: Locate): Init<"AttributeProto"> {
  const own = body.graph.inputs.slice(0, body.graph.inputs.length - body.captured);
  const names = new Map(body.graph.inputs.slice(own.length).map((value, i) => [value, around[i]!]));
  const nameOf = (value: Value) => names.get(value) ?? value.name;
  return { type: attributeTypes.graph, g: graphProto(body.graph, own, locate, nameOf) };
}

function attributeProto(value: Exclude<Attributes[string], Body>): Init<"AttributeProto"> {
  if (value instanceof StoredTensor) return { type: attributeTypes.tensor, t: value.proto };
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

function initializerProto(value: Value, locate: Locate): Init<"TensorProto"> {
  const constant = value.constant!;
  if (constant instanceof Tensor) return tensorProto(value.name, constant);
  if (constant instanceof StoredTensor) return { ...constant.proto, name: value.name };
  const { location, offset, length } = locate(constant.weight);
  return {
    name: value.name,
    dims: (value.shape as readonly number[]).map(BigInt),
    dataType: dataTypeOf(value.dtype!),
    dataLocation: dataLocations.external,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: String(offset) },
      { key: "length", value: String(length) },
    ],
  };
}

function valueInfo(value: Value): Init<"ValueInfoProto"> {
  if (value.declared !== undefined) return { ...value.declared, name: value.name };
  if (value.dtype === undefined) return { name: value.name };
  const elemType = dataTypeOf(value.dtype);
  if (value.shape === undefined) return { name: value.name, type: { tensorType: { elemType } } };
  const dim = value.shape.map((size) => (typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }));
  return { name: value.name, type: { tensorType: { elemType, shape: { dim } } } };
}
