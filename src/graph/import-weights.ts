/** Takes the weights out of an ONNX model: large ones are referred to where they lie, in the file itself or in files beside it. */
import { dtypeSizes, elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { decodeModel, encodeModel } from "../formats/onnx/codec.ts";
import { dtypeOf } from "../formats/onnx/dtypes.ts";
import { dataLocations } from "../formats/onnx/messages.ts";
import type { Init, ModelProto, TensorProto } from "../formats/onnx/types.ts";
import { mapTensors } from "./import-bodies.ts";

/** Tensors up to this size stay in the graph: shapes, axes and scalars, which onnxruntime's shape inference reads. */
const SMALL_BYTES = 1024;

/** Bytes [offset, offset + length) of a file; without a length they go to its end. */
export interface ExternalRange {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

/**
 * Where a model's external tensors say their bytes are. Throws `onnx-invalid` for a location that is absolute or could leave
 * the model's folder, and for numbers that are none or do not fit the tensor's shape.
 */
export function externalRanges(model: ModelProto): readonly ExternalRange[] {
  const ranges: ExternalRange[] = [];
  eachGraphTensor(model, (tensor) => {
    if (tensor.dataLocation === dataLocations.external) ranges.push(rangeOf(tensor));
    return tensor;
  });
  return ranges;
}

/**
 * The model in kilobytes: large inline weights become references to `file`, the name under which onnxruntime finds the bytes
 * that `model` was decoded from; references to other files get the names that `rename` gives them. Bit for bit the same model.
 */
export function withoutWeights(
  model: ModelProto,
  bytes: Uint8Array,
  file: string,
  rename: (location: string) => string = (location) => location,
): Uint8Array {
  const inFile = (tensor: TensorProto): Init<"TensorProto"> => {
    const { rawData } = tensor;
    if (tensor.dataLocation === dataLocations.external) {
      const { location, ...place } = rangeOf(tensor);
      return reference(tensor, { location: rename(location), ...place });
    }
    if (rawData === undefined || rawData.length <= SMALL_BYTES) return tensor;
    return reference(tensor, {
      location: file,
      offset: rawData.byteOffset - bytes.byteOffset,
      length: rawData.length,
    });
  };
  // Bodies and constants of nodes keep what they hold: onnxruntime takes references in the main graph's initialisers.
  const elsewhere = (tensor: TensorProto) => (tensor.dataLocation === dataLocations.external ? inFile(tensor) : tensor);
  const { graph } = model;
  if (graph === undefined) return encodeModel(model);
  return encodeModel({
    ...model,
    graph: { ...mapTensors(graph, elsewhere), initializer: graph.initializer.map(inFile) },
  });
}

/** The model that {@link withoutWeights} leaves, decoded from bytes of its own: the file's need not be kept. */
export function detached(...args: Parameters<typeof withoutWeights>): ModelProto {
  return decodeModel(withoutWeights(...args));
}

function eachGraphTensor(model: ModelProto, visit: (tensor: TensorProto) => TensorProto): void {
  if (model.graph !== undefined) mapTensors(model.graph, visit);
}

function reference(tensor: TensorProto, range: ExternalRange): Init<"TensorProto"> {
  const { location, offset, length } = range;
  return {
    ...tensor,
    rawData: undefined,
    dataLocation: dataLocations.external,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: String(offset) },
      ...(length === undefined ? [] : [{ key: "length", value: String(length) }]),
    ],
  };
}

function rangeOf(tensor: TensorProto): ExternalRange {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  if (!isInside(location)) {
    throw refused(tensor, `is stored in ${JSON.stringify(location)}, which is not a path inside the model's folder`);
  }
  const offset = wholeNumber(tensor, "offset", entries.get("offset") ?? "0");
  const stated = entries.get("length");
  const length = stated === undefined ? undefined : wholeNumber(tensor, "length", stated);
  const expected = byteLength(tensor);
  if (length !== undefined && expected !== undefined && length !== expected) {
    throw refused(tensor, `has ${length} external bytes, its shape [${tensor.dims}] needs ${expected}`);
  }
  return { location, offset, length: length ?? expected };
}

/** A relative path without steps upwards, on any system. */
function isInside(location: string): boolean {
  if (location === "" || /[\\:\0]/.test(location) || location.startsWith("/")) return false;
  return location.split("/").every((part) => part !== ".." && part !== "");
}

function wholeNumber(tensor: TensorProto, key: string, text: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw refused(tensor, `has the external ${key} ${JSON.stringify(text.slice(0, 40))}, which is not a number of bytes`);
}

/** Bytes that a tensor's shape needs; undefined for element types that are not whole bytes, or unknown. */
function byteLength({ dims, dataType = 0 }: TensorProto): number | undefined {
  const dtype = dtypeOf(dataType);
  return dtype === undefined ? undefined : elementCount(Array.from(dims, Number)) * dtypeSizes[dtype];
}

function refused({ name }: TensorProto, what: string): VeneError {
  return new VeneError("onnx-invalid", `the tensor ${JSON.stringify(name ?? "")} ${what}`, {
    hint: "fetch the model again from where it was published, with all its files",
    details: { tensor: name },
  });
}
