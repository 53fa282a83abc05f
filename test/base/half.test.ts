/** float16 and bfloat16 against exact arithmetic: every pattern, every tie, and random values. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../../src/base/half.ts";
import { bfloat16, float16, nearestPattern, scaledOfPattern } from "../support/half-oracle.ts";

const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

const formats = [
  { name: "float16", format: float16, read: float16ToFloat32, write: float32ToFloat16 },
  { name: "bfloat16", format: bfloat16, read: bfloat16ToFloat32, write: float32ToBfloat16 },
] as const;

describe.each(formats)("$name", ({ format, read, write }) => {
  const infinity = ((1 << format.exponentBits) - 1) << format.fractionBits;

  test("all 65536 patterns mean what IEEE says", () => {
    const values = read(all);
    const wrong = [...all].filter((bits) => {
      const magnitude = bits & 0x7fff;
      const value = values[bits]!;
      if (magnitude > infinity) return !Number.isNaN(value);
      const expected =
        magnitude === infinity ? Number.POSITIVE_INFINITY : Number(scaledOfPattern(magnitude, format)) * 2 ** -149;
      return !Object.is(value, bits & 0x8000 ? -expected : expected);
    });
    expect(wrong).toEqual([]);
  });

  test("every pattern comes back, NaN as NaN", () => {
    const back = write(read(all));
    const wrong = [...all].filter((bits) =>
      (bits & 0x7fff) > infinity ? (back[bits]! & 0x7fff) <= infinity : back[bits] !== bits,
    );
    expect(wrong).toEqual([]);
  });

  test("halfway between two neighbours goes to the even one, a hair off goes to the nearer", () => {
    const magnitudes = [...all].filter((bits) => bits < infinity);
    const words = new Uint32Array(magnitudes.length * 3);
    const values = new Float32Array(words.buffer);
    const expected = magnitudes.flatMap((bits) => {
      const middle = (scaledOfPattern(bits, format) + scaledOfPattern(bits + 1, format)) / 2n;
      const at = bits * 3;
      values[at] = Number(middle) * 2 ** -149;
      words[at + 1] = words[at]! - 1;
      words[at + 2] = words[at]! + 1;
      return [bits % 2 === 0 ? bits : bits + 1, bits, bits + 1];
    });
    const found = write(values);
    expect(magnitudes.filter((bits) => [0, 1, 2].some((i) => found[bits * 3 + i] !== expected[bits * 3 + i]))).toEqual(
      [],
    );
    const negative = write(values.map((value) => -value));
    expect([...negative].filter((bits, i) => bits !== (expected[i]! | 0x8000))).toEqual([]);
  });

  test("any float32 goes to the nearest pattern", () => {
    const edges = [65504, 65519.996, 65520, 2 ** -24, 2 ** -25, 2 ** -14, 6.1e-5, 1e-45, 3.4028234663852886e38, -0, 0];
    for (const value of [...edges, ...edges.map((edge) => -edge), Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect([value, write(Float32Array.of(value))[0]]).toEqual([value, nearestPattern(Math.fround(value), format)]);
    }
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(write(Float32Array.of(value))[0]).toBe(nearestPattern(value, format));
      }),
      { numRuns: 2000 },
    );
  });

  test("NaN with its payload in the low bits does not become Infinity", () => {
    const words = Uint32Array.of(0x7f800001, 0xff800001, 0x7fc00000, 0xffffffff, 0x7fffffff);
    const found = write(new Float32Array(words.buffer));
    expect([...found].filter((bits) => (bits & 0x7fff) <= infinity)).toEqual([]);
  });

  test("reads into a buffer that is given, a window of a larger one included", () => {
    const target = new Float32Array(6).fill(9);
    const out = read(Uint16Array.of(0, infinity, 0x8000), target.subarray(2, 5));
    expect(out.buffer).toBe(target.buffer);
    expect([...target]).toEqual([9, 9, 0, Number.POSITIVE_INFINITY, -0, 9]);
  });
});
