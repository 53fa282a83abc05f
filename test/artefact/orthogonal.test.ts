/** Weights of torch's orthogonal parametrisation: read as torch computes them, written so that torch gets them back. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Multiply, matrixOf } from "../../src/artefact/matrix.ts";
import { orthogonalWeight } from "../../src/artefact/orthogonal.ts";
import { orthogonalState, orthonormalityError } from "../../src/artefact/orthonormal.ts";
import { withFile } from "../../src/base/bytes.ts";
import { seededRandom } from "../../src/base/rng.ts";
import { bytesOf, Tensor } from "../../src/base/tensor.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { withMatrixProduct } from "../../src/runtime/matrix-product.ts";
import { fixtures } from "./places.ts";

const identity = (n: number) =>
  Tensor.float32(
    [n, n],
    Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
  );
const random = (shape: readonly number[], seed: number, scale = 1) => {
  const { normal } = seededRandom(seed);
  const size = shape.reduce((product, length) => product * length, 1);
  return Tensor.float32(
    shape,
    Float32Array.from({ length: size }, () => scale * normal()),
  );
};
/** float64 tensors read as doubles. */
const doubles = ({ bytes }: Tensor) => new Float64Array(Uint8Array.from(bytes).buffer);
const furthest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe("reading", () => {
  test("numbers worked out by hand: reflectors", async () => {
    const x = Tensor.float32([4, 2], [-1, 0, 0.5, -1, 0.25, -0.5, 0, 1]);
    const w = await orthogonalWeight(x, identity(4));
    const expected = [0.52381, 0.253968, 0.761905, 0.015873, 0.380952, -0.380952, 0, 0.888889];
    expect(furthest(w.toFloat32(), expected)).toBeLessThan(1e-6);
  });

  test("numbers worked out by hand: exponential", async () => {
    // What is above the diagonal does not count.
    const x = Tensor.float32([3, 3], [-1, 9, 9, 0.3, -1, 9, -0.2, 0.1, -1]);
    const w = await orthogonalWeight(x, identity(3));
    const expected = [0.935755, -0.283165, 0.210192, 0.302933, 0.950581, -0.068031, -0.18054, 0.127335, 0.97529];
    expect(furthest(w.toFloat32(), expected)).toBeLessThan(1e-6);
  });

  test("torch's own, on bases that are not I", async () => {
    const truth = await withFile(join(fixtures, "orthogonal/torch.safetensors"), readSafetensors);
    const names = [...truth.keys()].filter((name) => name.endsWith(".weight"));
    expect(names).toHaveLength(10);
    for (const name of names) {
      const case_ = name.slice(0, -".weight".length);
      const w = await orthogonalWeight(truth.get(`${case_}.original`)!, truth.get(`${case_}.base`)!);
      const expected = truth.get(name)!;
      expect([case_, w.shape]).toEqual([case_, expected.shape]);
      // float32 of torch's float64, to the last digit or two.
      expect(furthest(w.toFloat32(), doubles(expected))).toBeLessThan(2e-7);
    }
  });

  test("a decayed diagonal loses its column, as in torch", async () => {
    const truth = await withFile(join(fixtures, "orthogonal/torch.safetensors"), readSafetensors);
    const w = await orthogonalWeight(truth.get("tall_decayed.original")!, truth.get("tall_decayed.base")!);
    expect(Array.from({ length: 10 }, (_, i) => Math.abs(w.toNumbers()[i * 4 + 1]!))).toEqual(new Array(10).fill(0));
    expect(orthonormalityError(w)).toBeGreaterThan(0.9);
  });

  test("the rotations of pyvene's conformance cases", async () => {
    let seen = 0;
    for (const family of ["gpt2", "llama"]) {
      const folder = join(fixtures, "cases", family);
      for (const name of readdirSync(folder)) {
        const truth = await withFile(join(folder, name, "tensors.safetensors"), readSafetensors);
        for (const key of [...truth.keys()].filter((key) => key.startsWith("effective."))) {
          const parameters = key.replace("effective", "param").replace(".weight", ".parametrizations.weight");
          const w = await orthogonalWeight(truth.get(`${parameters}.original`)!, truth.get(`${parameters}.0.base`)!);
          expect(furthest(w.toFloat32(), truth.get(key)!.toFloat32())).toBeLessThan(1e-6);
          // Some low-rank ones have diagonals below 1, which torch cuts to 0: columns of nothing.
          const [n, k] = w.shape as [number, number];
          const x = truth.get(`${parameters}.original`)!.toNumbers();
          const cut = n !== k && Array.from({ length: k }, (_, i) => x[i * k + i]!).some((sign) => Math.abs(sign) < 1);
          expect(orthonormalityError(w)).toBeCloseTo(cut ? 1 : 0, 5);
          seen++;
        }
      }
    }
    expect(seen).toBe(20);
  });

  test.each([
    ["tall", [650, 41]],
    ["square", [257, 257]],
  ])("large ones through an engine, to what single precision can hold: %s", async (_, shape) => {
    const [n] = shape as [number, number];
    const x = random(shape, 1, 0.01);
    for (let i = 0; i < shape[1]!; i++) new DataView(x.bytes.buffer).setFloat32((i * shape[1]! + i) * 4, -1, true);
    const sizes: number[] = [];
    const { weight, alone } = await withMatrixProduct(async (multiply) => {
      const counted: Multiply = (a, b, size) => {
        sizes.push(size.rows * size.inner * size.columns);
        return multiply(a, b, size);
      };
      return { weight: await orthogonalWeight(x, identity(n), counted), alone: await orthogonalWeight(x, identity(n)) };
    });
    expect(sizes.length).toBeGreaterThan(0);
    expect(Math.min(...sizes)).toBeGreaterThan(256 ** 3);
    expect(furthest(weight.toFloat32(), alone.toFloat32())).toBeLessThan(2e-6);
    expect(orthonormalityError(alone)).toBeLessThan(1e-6);
    expect(orthonormalityError(weight)).toBeLessThan(1e-5);
  });

  test.each([
    ["wide", Tensor.float32([2, 3], new Array(6).fill(0)), identity(2), "artefact-tensor"],
    ["a base of another size", Tensor.float32([3, 2], new Array(6).fill(0)), identity(2), "artefact-tensor"],
    ["no matrix", Tensor.float32([4], [1, 2, 3, 4]), identity(2), "artefact-tensor"],
    ["empty", Tensor.float32([0, 0], []), Tensor.float32([0, 0], []), "artefact-tensor"],
    ["angles out of reach", Tensor.float32([2, 2], [0, 0, 1e30, 0]), identity(2), "tensor-invalid"],
    ["NaN", Tensor.float32([2, 2], [0, 0, Number.NaN, 0]), identity(2), "tensor-invalid"],
  ])("%s is refused", async (_, original, base, code) => {
    await expect(orthogonalWeight(original, base)).rejects.toMatchObject({ code });
  });
});

describe("writing", () => {
  /** Orthonormal columns of any kind, made by turning random ones. */
  const orthonormal = async (n: number, k: number, seed: number) =>
    orthogonalWeight(random([n, n], seed), identity(n)).then(async (square) =>
      k === n ? square : orthogonalWeight(minusIdentity(n, k), square),
    );
  const minusIdentity = (n: number, k: number) => {
    const values = new Float32Array(n * k);
    for (let i = 0; i < k; i++) values[i * k + i] = -1;
    return Tensor.float32([n, k], values);
  };

  test("reading gives back every bit, and the base is orthonormal", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 24 }), fc.nat(23), fc.nat(), async (n, less, seed) => {
        const weight = await orthonormal(n, Math.max(1, n - less), seed);
        const { original, base } = orthogonalState(weight);
        expect([original.shape, base.shape]).toEqual([weight.shape, [n, n]]);
        expect(await orthogonalWeight(original, base)).toEqual(weight);
        expect(orthonormalityError(base)).toBeLessThan(2e-6);
      }),
      { numRuns: 60 },
    );
  });

  test("float64 and bfloat16 keep their bits, too", async () => {
    const weight = await orthonormal(9, 4, 3);
    const wide = new Tensor("float64", weight.shape, bytesOf(Float64Array.from(weight.toFloat32())));
    for (const each of [wide, weight.to("bfloat16")]) {
      const { original, base } = orthogonalState(each);
      expect([original.dtype, base.dtype]).toEqual([each.dtype, each.dtype]);
      expect(await orthogonalWeight(original, base)).toEqual(each);
    }
  });

  test("what is not orthonormal is kept as it is, and measured", async () => {
    for (const weight of [random([6, 3], 1), Tensor.float32([3, 2], [0, 0, 0, 0, 0, 0])]) {
      const { original, base } = orthogonalState(weight);
      expect(await orthogonalWeight(original, base)).toEqual(weight);
      expect(base.toNumbers().every(Number.isFinite)).toBe(true);
      expect(orthonormalityError(weight)).toBeGreaterThan(0.5);
    }
  });
});

test("of a large matrix some products are checked, and all lengths", () => {
  const n = 700;
  const weight = identity(n);
  expect(orthonormalityError(weight)).toBe(0);
  const { values } = matrixOf(weight);
  values[333 * n + 333] = 1.5;
  expect(orthonormalityError(Tensor.float32([n, n], Float32Array.from(values)))).toBeCloseTo(1.25, 6);
});
