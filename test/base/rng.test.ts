/** The seeded generator: the published algorithm, the same numbers for the same seed, sane distributions. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { seededRandom } from "../../src/base/rng.ts";

/** sfc32 after PractRand, in bigint. */
function sfc32(seed: bigint, count: number): number[] {
  const mask = 0xffffffffn;
  let [a, b, c, counter] = [seed & mask, (seed >> 32n) & mask, 0x9e3779b9n, 1n];
  const next = () => {
    const sum = (a + b + counter) & mask;
    counter = (counter + 1n) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = (((c << 21n) | (c >> 11n)) + sum) & mask;
    return Number(sum) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next();
  return Array.from({ length: count }, next);
}

describe("seededRandom", () => {
  test("is sfc32, for seeds up to 2^53", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (seed) => {
        const random = seededRandom(seed);
        expect(Array.from({ length: 20 }, random.uniform)).toEqual(sfc32(BigInt(seed), 20));
      }),
      { numRuns: 50 },
    );
  });

  test("has not changed since the first release", () => {
    const random = seededRandom(42);
    expect(Array.from({ length: 3 }, () => Math.floor(random.uniform() * 1e9))).toEqual([
      33778336, 755770735, 964204205,
    ]);
  });

  test("neighbouring seeds have nothing in common", () => {
    const firsts = Array.from({ length: 2000 }, (_, seed) => seededRandom(seed).uniform());
    expect(new Set(firsts).size).toBe(2000);
    const mean = firsts.reduce((sum, value) => sum + value, 0) / 2000;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.03);
  });

  test("uniform fills [0, 1) evenly, normal has mean 0 and variance 1 and is always finite", () => {
    const random = seededRandom(7);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 50_000; i++) counts[Math.floor(random.uniform() * 10)]!++;
    expect(Math.max(...counts.map((count) => Math.abs(count - 5000)))).toBeLessThan(300);
    const normals = Array.from({ length: 50_000 }, random.normal);
    expect(normals.every(Number.isFinite)).toBe(true);
    expect(Math.abs(normals.reduce((sum, value) => sum + value, 0) / 50_000)).toBeLessThan(0.02);
    expect(Math.abs(normals.reduce((sum, value) => sum + value * value, 0) / 50_000 - 1)).toBeLessThan(0.03);
    expect(normals.filter((value) => Math.abs(value) > 1.96).length / 50_000).toBeCloseTo(0.05, 2);
  });
});
