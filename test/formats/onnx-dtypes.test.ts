/** ONNX's element type numbers and vene's dtypes. */
import { expect, test } from "@jest/globals";
import { dtypes } from "../../src/base/dtype.ts";
import { dataTypeName, dataTypeOf, dataTypes, dtypeOf } from "../../src/formats/onnx/dtypes.ts";

test("every dtype has its own number and comes back from it", () => {
  expect(dtypes.map((dtype) => dtypeOf(dataTypeOf(dtype)))).toEqual(dtypes);
  expect(new Set(dtypes.map(dataTypeOf)).size).toBe(dtypes.length);
});

test.each([
  ["float32", 1],
  ["int64", 7],
  ["bool", 9],
  ["float16", 10],
  ["float64", 11],
  ["bfloat16", 16],
  ["float8_e4m3fn", 17],
] as const)("%s is %d", (dtype, number) => {
  expect(dataTypeOf(dtype)).toBe(number);
});

test("numbers without a dtype have a name", () => {
  expect(dtypeOf(dataTypes.int4)).toBeUndefined();
  expect(dtypeOf(0)).toBeUndefined();
  expect([22, 8, 99].map(dataTypeName)).toEqual(["int4", "string", "data type 99"]);
});
