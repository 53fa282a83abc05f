/** Small ONNX models as others might write them, built field by field. */
import { bytesOf } from "../../src/base/tensor.ts";
import { encodeModel } from "../../src/formats/onnx/codec.ts";
import { attributeTypes, dataLocations } from "../../src/formats/onnx/messages.ts";
import type { Init } from "../../src/formats/onnx/types.ts";

type Size = number | string;

/** A float32 initialiser, inline. */
export function weights(name: string, dims: readonly number[], values: readonly number[]): Init<"TensorProto"> {
  return { name, dims: dims.map(BigInt), dataType: 1, rawData: bytesOf(Float32Array.from(values)) };
}

/** A float32 initialiser whose bytes are elsewhere. */
export function elsewhere(name: string, dims: readonly number[], entries: Record<string, string>): Init<"TensorProto"> {
  return {
    name,
    dims: dims.map(BigInt),
    dataType: 1,
    dataLocation: dataLocations.external,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  };
}

export function int64s(name: string, values: readonly number[]): Init<"TensorProto"> {
  return { name, dims: [BigInt(values.length)], dataType: 7, rawData: bytesOf(BigInt64Array.from(values, BigInt)) };
}

/** A typed input or output; elemType 1 = float32, 9 = bool. */
export function typed(name: string, shape: readonly Size[], elemType = 1): Init<"ValueInfoProto"> {
  const dim = shape.map((size) => (typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly Init<"AttributeProto">[] = [],
  domain = "",
): Init<"NodeProto"> {
  return { opType, input, output, attribute, domain, name: `node of ${output[0]}` };
}

export function body(name: string, graph: Init<"GraphProto">): Init<"AttributeProto"> {
  return { name, type: attributeTypes.graph, g: graph };
}

export function ints(name: string, values: readonly number[]): Init<"AttributeProto"> {
  return { name, type: attributeTypes.ints, ints: values.map(BigInt) };
}

/** A model file in opset 17 unless told otherwise. */
export function file(graph: Init<"GraphProto">, more: Init<"ModelProto"> = {}): Uint8Array {
  return encodeModel({ irVersion: 8n, opsetImport: [{ domain: "", version: 17n }], graph, ...more });
}
