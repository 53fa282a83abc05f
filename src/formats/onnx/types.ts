/** What ONNX messages look like as plain objects: as the reader returns them, and as the writer takes them. */
import type { MessageName, messages, Packable, Scalar } from "./messages.ts";

type Table = typeof messages;
type ListEntry = readonly [number, `${string}]`];

interface ScalarValues {
  readonly string: string;
  readonly bytes: Uint8Array;
  readonly int64: bigint;
  readonly uint64: bigint;
  readonly int32: number;
  readonly float: number;
  readonly double: number;
}

interface PackedLists {
  readonly int64: BigInt64Array;
  readonly uint64: BigUint64Array;
  readonly int32: Int32Array;
  readonly float: Float32Array;
  readonly double: Float64Array;
}

/** Fields of a newer onnx.proto, each as its raw tag and payload; the writer puts them back after the known ones. */
interface UnknownFields {
  readonly unknown?: readonly Uint8Array[];
}

type DecodedValue<T> = T extends `${infer E extends Packable}[packed]`
  ? PackedLists[E]
  : T extends `${infer E}[]`
    ? readonly DecodedValue<E>[]
    : T extends Scalar
      ? ScalarValues[T]
      : T extends MessageName
        ? Decoded<T>
        : never;

/**
 * A message as `decodeModel` returns it. Lists are always there, maybe empty, and read-only; single fields are absent when the
 * file does not have them. int64 is bigint; bytes are views of the input; a tensor's packed values are typed arrays.
 */
export type Decoded<M extends MessageName> = {
  readonly [F in keyof Table[M] as Table[M][F] extends ListEntry ? F : never]: FieldValue<Table[M][F]>;
} & {
  readonly [F in keyof Table[M] as Table[M][F] extends ListEntry ? never : F]?: FieldValue<Table[M][F]>;
} & UnknownFields;

type FieldValue<E> = E extends readonly [number, infer T, ...unknown[]] ? DecodedValue<T> : never;

type InitValue<T> = T extends `${infer E extends Packable}[packed]`
  ? readonly ScalarValues[E][] | PackedLists[E]
  : T extends `${infer E}[]`
    ? readonly InitValue<E>[]
    : T extends Scalar
      ? ScalarValues[T]
      : T extends MessageName
        ? Init<T>
        : never;

/** A message as `encodeModel` takes it: every field may be left out or undefined. A `Decoded` message is one, too. */
export type Init<M extends MessageName> = {
  readonly [F in keyof Table[M]]?: InitFieldValue<Table[M][F]> | undefined;
} & UnknownFields;

type InitFieldValue<E> = E extends readonly [number, infer T, ...unknown[]] ? InitValue<T> : never;

/** The file: IR version, operator sets, one main graph, local functions. */
export type ModelProto = Decoded<"ModelProto">;
/** Which version of an operator domain is meant; domain "" is ONNX itself. */
export type OperatorSetIdProto = Decoded<"OperatorSetIdProto">;
/** A pair of strings: metadata, or a property of external data. */
export type StringStringEntryProto = Decoded<"StringStringEntryProto">;
/** An operator defined by a subgraph. */
export type FunctionProto = Decoded<"FunctionProto">;
/** Nodes in topological order, initializers, and the values that go in and out. */
export type GraphProto = Decoded<"GraphProto">;
/** One call of an operator; its edges are value names. */
export type NodeProto = Decoded<"NodeProto">;
/** A named constant of a node; `type` says which field holds it. */
export type AttributeProto = Decoded<"AttributeProto">;
/** A constant tensor, inline (rawData or one of the typed lists) or in another file (externalData). */
export type TensorProto = Decoded<"TensorProto">;
/** A constant sparse tensor in coordinate form. */
export type SparseTensorProto = Decoded<"SparseTensorProto">;
/** Where a tensor's quantisation parameters are found. */
export type TensorAnnotation = Decoded<"TensorAnnotation">;
/** A value's name and type. */
export type ValueInfoProto = Decoded<"ValueInfoProto">;
/** A type: exactly one of the `...Type` fields is set. */
export type TypeProto = Decoded<"TypeProto">;
/** A shape; no dimensions mean a scalar, an absent shape an unknown rank. */
export type TensorShapeProto = Decoded<"TensorShapeProto">;
/** A size (dimValue), a named unknown (dimParam), or neither: unknown. */
export type Dimension = Decoded<"TensorShapeProto.Dimension">;
