/** Tensors refuse bytes that do not fit, and read every dtype as the numbers it holds. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type DType, dtypeSizes, dtypes, elementCount, isDType } from "../../src/base/dtype.ts";
import { bytesOf, Tensor } from "../../src/base/tensor.ts";

const invalid = expect.objectContaining({ name: "VeneError", code: "tensor-invalid" });

describe("a tensor", () => {
  test.each(dtypes.map((dtype) => [dtype, dtypeSizes[dtype]] as const))(
    "%s has %i bytes per element",
    (dtype, size) => {
      expect(new Tensor(dtype, [2, 3], new Uint8Array(6 * size)).size).toBe(6);
      expect(() => new Tensor(dtype, [2, 3], new Uint8Array(6 * size - 1))).toThrow(invalid);
      expect(() => new Tensor(dtype, [2, 3], new Uint8Array(6 * size + 1))).toThrow(invalid);
    },
  );

  test("says what it needed and what it got", () => {
    expect(() => new Tensor("float16", [4, 2], new Uint8Array(3))).toThrow("float16 [4,2] needs 16 bytes, got 3");
    try {
      new Tensor("float16", [4, 2], new Uint8Array(3));
    } catch (error) {
      expect(error).toMatchObject({ code: "tensor-invalid", details: { expected: 16, found: 3, dtype: "float16" } });
    }
  });

  test.each([[[-1]], [[1.5]], [[Number.NaN]], [[2 ** 60]], [[Number.POSITIVE_INFINITY, 0]]])(
    "no dimension %p",
    (shape) => {
      expect(() => new Tensor("uint8", shape, new Uint8Array(0))).toThrow(invalid);
    },
  );

  test("a product beyond any buffer is refused, an empty tensor is not", () => {
    expect(() => new Tensor("uint8", [2 ** 40, 2 ** 40], new Uint8Array(8))).toThrow(invalid);
    expect(new Tensor("float32", [2 ** 40, 0], new Uint8Array(0)).toNumbers()).toEqual([]);
    expect(elementCount([])).toBe(1);
    expect(Tensor.float32([], [2.5]).toNumbers()).toEqual([2.5]);
  });

  test("names of dtypes are told from names of Object's own", () => {
    expect(["float32", "bool", "constructor", "toString", "FLOAT32", ""].map(isDType)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("values", () => {
  const samples: readonly (readonly [DType, ArrayBufferView, readonly number[]])[] = [
    ["float64", Float64Array.of(1.5, -(2 ** -30), 1e300), [1.5, -(2 ** -30), Number.POSITIVE_INFINITY]],
    ["float32", Float32Array.of(0.1, -0), [Math.fround(0.1), -0]],
    ["float16", Uint16Array.of(0x3c00, 0xc000, 0x0001), [1, -2, 2 ** -24]],
    ["bfloat16", Uint16Array.of(0x3f80, 0xc000), [1, -2]],
    ["int64", BigInt64Array.of(-1n, 2n ** 40n), [-1, 2 ** 40]],
    ["int32", Int32Array.of(-5, 7), [-5, 7]],
    ["int16", Int16Array.of(-32768), [-32768]],
    ["int8", Int8Array.of(-128, 127), [-128, 127]],
    ["uint8", Uint8Array.of(255), [255]],
    ["bool", Uint8Array.of(0, 1), [0, 1]],
  ];

  test.each(samples)("of %s, at any alignment of the bytes", (dtype, array, expected) => {
    const bytes = bytesOf(array);
    for (let shift = 0; shift < 8; shift++) {
      const buffer = new Uint8Array(bytes.length + shift);
      buffer.set(bytes, shift);
      const tensor = new Tensor(dtype, [expected.length], buffer.subarray(shift));
      expect(tensor.toNumbers()).toEqual(expected);
      expect([...tensor.toFloat32()]).toEqual(expected.map(Math.fround));
    }
  });

  test("of a Node buffer in a shared pool", () => {
    const pooled = Buffer.from([0, 0, 0, 128, 63, 0, 0, 0, 64]).subarray(1);
    expect(new Tensor("float32", [2], pooled).toNumbers()).toEqual([1, 2]);
  });

  test.each(["uint64", "uint32", "uint16", "float8_e4m3fn", "float8_e5m2"] as const)(
    "of %s are refused, by name",
    (dtype) => {
      const tensor = new Tensor(dtype, [1], new Uint8Array(dtypeSizes[dtype]));
      expect(() => tensor.toFloat32()).toThrow(expect.objectContaining({ code: "tensor-invalid", details: { dtype } }));
      expect(() => tensor.to("float16")).toThrow(invalid);
    },
  );

  test("int64 constants keep their digits", () => {
    expect(Tensor.int64([2], [-1, 2 ** 52]).bytes).toEqual(bytesOf(BigInt64Array.of(-1n, 2n ** 52n)));
  });

  test("float32 is viewed, not copied; other dtypes do not write through", () => {
    const values = Float32Array.of(1, 2);
    const tensor = Tensor.float32([2], values);
    values[1] = 7;
    expect(tensor.toNumbers()).toEqual([1, 7]);
    expect(tensor.to("float32")).toBe(tensor);
  });

  test("precision lost on the way down is not lost again", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true }), { minLength: 1 }), (list) => {
        for (const dtype of ["float16", "bfloat16"] as const) {
          const once = Tensor.float32([list.length], list).to(dtype);
          expect(once.to("float32").to(dtype).bytes).toEqual(once.bytes);
        }
      }),
    );
  });
});
