/** ONNX's element type numbers (TensorProto.DataType) and how they correspond to vene's dtypes. */
import { type DType, dtypes } from "../../base/dtype.ts";

/** TensorProto.DataType, all of it: values of `TensorProto.dataType` and of `elemType` in types. */
export const dataTypes = {
  undefined: 0,
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
  float6e2m3: 27,
  float6e3m2: 28,
} as const;

const byDType = {
  float64: dataTypes.double,
  float32: dataTypes.float,
  float16: dataTypes.float16,
  bfloat16: dataTypes.bfloat16,
  float8_e4m3fn: dataTypes.float8e4m3fn,
  float8_e5m2: dataTypes.float8e5m2,
  int64: dataTypes.int64,
  int32: dataTypes.int32,
  int16: dataTypes.int16,
  int8: dataTypes.int8,
  uint64: dataTypes.uint64,
  uint32: dataTypes.uint32,
  uint16: dataTypes.uint16,
  uint8: dataTypes.uint8,
  bool: dataTypes.bool,
} as const satisfies { readonly [D in DType]: number };

const byDataType: ReadonlyMap<number, DType> = new Map(dtypes.map((dtype) => [byDType[dtype], dtype]));

const names: ReadonlyMap<number, string> = new Map(Object.entries(dataTypes).map(([name, number]) => [number, name]));

/** The number ONNX gives a dtype. */
export function dataTypeOf(dtype: DType): number {
  return byDType[dtype];
}

/** The dtype of an ONNX number; undefined for those vene has no tensors of (strings, complex, sub-byte, other float8). */
export function dtypeOf(dataType: number): DType | undefined {
  return byDataType.get(dataType);
}

/** What messages call an ONNX number: "int4", or "data type 99". */
export function dataTypeName(dataType: number): string {
  return names.get(dataType) ?? `data type ${dataType}`;
}
