/** Sampling against a brute-force distribution written after transformers' logits warpers, and the options it refuses. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { argmax, checkSampling, createSampler, type SamplingOptions } from "../../src/runtime/sampling.ts";

/** Probabilities by token, done the slow way: penalty, temperature, top-k, top-p, min-p, each on the whole list. */
function reference(logits: readonly number[], seen: readonly number[], o: SamplingOptions): number[] {
  const penalty = o.repetitionPenalty ?? 1;
  let scores = logits.map(
    (value, id) => (seen.includes(id) ? (value > 0 ? value / penalty : value * penalty) : value) / o.temperature!,
  );
  const softmax = () => {
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  const byScore = () => [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  const keep = (kept: readonly number[]) => {
    scores = scores.map((score, id) => (kept.includes(id) ? score : Number.NEGATIVE_INFINITY));
  };
  if (o.topK) keep(byScore().slice(0, o.topK));
  if (o.topP !== undefined && o.topP < 1) {
    const p = softmax();
    const order = byScore();
    keep(order.filter((_, rank) => rank === 0 || order.slice(0, rank).reduce((sum, id) => sum + p[id]!, 0) < o.topP!));
  }
  if (o.minP !== undefined) {
    const p = softmax();
    const floor = o.minP * Math.max(...p);
    keep(p.flatMap((value, id) => (value >= floor ? [id] : [])));
  }
  return softmax();
}

const logits = [2, 1.2, -0.4, 3.1, 0.3, -2, 2.6, 0.9];
const seen = [3, 5, 3];

const settings: readonly SamplingOptions[] = [
  { temperature: 1 },
  { temperature: 0.5 },
  { temperature: 2 },
  { temperature: 1, topK: 1 },
  { temperature: 1, topK: 3 },
  { temperature: 1, topK: 100 },
  { temperature: 1, topP: 0.3 },
  { temperature: 1, topP: 0.8 },
  { temperature: 1, topP: 1 },
  { temperature: 1, minP: 0.2 },
  { temperature: 1, minP: 1 },
  { temperature: 1, repetitionPenalty: 1.5 },
  { temperature: 1, repetitionPenalty: 0.7 },
  { temperature: 1.3, topK: 5, topP: 0.9, minP: 0.1, repetitionPenalty: 1.2 },
  { temperature: 0.7, topK: 4, topP: 0.75 },
];

describe("draws", () => {
  test.each(settings)("with %p follow the reference's distribution", (options) => {
    const draws = 20_000;
    const sample = createSampler({ ...options, seed: 17 });
    const counts = new Array<number>(logits.length).fill(0);
    for (let i = 0; i < draws; i++) counts[sample(Float32Array.from(logits), () => seen)]!++;
    const expected = reference(logits, seen, options);
    expected.forEach((p, id) => {
      const frequency = counts[id]! / draws;
      if (p < 1e-9) expect([id, frequency]).toEqual([id, 0]);
      else expect(Math.abs(frequency - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / draws) + 1e-6);
    });
  });

  test("never leave the reference's support, whatever the logits", () => {
    const options = fc.record({
      temperature: fc.double({ min: 0.1, max: 5, noNaN: true }),
      topK: fc.nat({ max: 12 }),
      topP: fc.double({ min: 0.05, max: 1, noNaN: true }),
      minP: fc.double({ min: 0, max: 1, noNaN: true }),
      repetitionPenalty: fc.double({ min: 0.5, max: 2, noNaN: true }),
      seed: fc.nat(),
    });
    const values = fc.array(
      fc.integer({ min: -40, max: 40 }).map((value) => value / 4),
      { minLength: 1, maxLength: 10 },
    );
    fc.assert(
      fc.property(values, options, fc.array(fc.nat({ max: 9 })), (list, chosen, past) => {
        const inside = past.filter((id) => id < list.length);
        const expected = reference(list, inside, chosen);
        const sample = createSampler(chosen);
        for (let i = 0; i < 5; i++) expect(expected[sample(Float32Array.from(list), () => inside)]!).toBeGreaterThan(0);
      }),
      { numRuns: 300, seed: 42 },
    );
  });

  test("a large vocabulary, mostly hopeless, is as good", () => {
    const wide = Float32Array.from({ length: 50_000 }, (_, id) => (id % 10_000 === 7 ? 5 : -60));
    const sample = createSampler({ temperature: 1, seed: 1 });
    const drawn = new Set(Array.from({ length: 300 }, () => sample(wide, () => [])));
    expect([...drawn].sort((a, b) => a - b)).toEqual([7, 10_007, 20_007, 30_007, 40_007]);
  });

  test("the logits that are given are left as they are", () => {
    const values = Float32Array.from(logits);
    createSampler({ temperature: 1, repetitionPenalty: 2, topK: 2, seed: 1 })(values, () => [0, 3]);
    expect(values).toEqual(Float32Array.from(logits));
  });
});

describe("seeds", () => {
  const drawn = (seed: number | undefined) => {
    const sample = createSampler({ temperature: 1.5, ...(seed === undefined ? {} : { seed }) });
    return Array.from({ length: 40 }, () => sample(Float32Array.from(logits), () => [])).join();
  };

  test("repeat, differ from one another, and without one every run differs", () => {
    expect(drawn(5)).toBe(drawn(5));
    expect(new Set([0, 1, 2, 5, 2 ** 32, 2 ** 53 - 1].map(drawn)).size).toBe(6);
    expect(drawn(undefined)).not.toBe(drawn(undefined));
  });
});

describe("greedy", () => {
  test("is the largest, the first of equals, penalty applied", () => {
    expect(argmax(Float32Array.of(1, 3, 3, 2))).toBe(1);
    expect(argmax(Float32Array.of(-5))).toBe(0);
    const sample = (options: SamplingOptions) => createSampler(options)(Float32Array.from(logits), () => seen);
    expect([sample({}), sample({ temperature: 0 }), sample({ temperature: 0, topK: 3, topP: 0.1, seed: 4 })]).toEqual([
      3, 3, 3,
    ]);
    expect(sample({ repetitionPenalty: 1.5 })).toBe(6);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%p is no likeliest token", (value) => {
    for (const temperature of [0, 1]) {
      const sample = createSampler({ temperature, seed: 1 });
      expect(() => sample(Float32Array.of(value, value, value), () => [])).toThrow(
        expect.objectContaining({ code: "runtime-failed" }),
      );
    }
  });

  test("tokens that are ruled out with -Infinity are never drawn", () => {
    const sample = createSampler({ temperature: 5, seed: 1 });
    for (let i = 0; i < 50; i++)
      expect(sample(Float32Array.of(Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY), () => [])).toBe(1);
  });
});

describe("options", () => {
  test.each<[keyof SamplingOptions, readonly unknown[]]>([
    ["temperature", [-0.1, Number.NaN, Number.POSITIVE_INFINITY, "1", null]],
    ["topK", [-1, 1.5, Number.NaN, "3"]],
    ["topP", [0, -1, 1.01, Number.NaN]],
    ["minP", [-0.1, 1.1, Number.NaN]],
    ["repetitionPenalty", [0, -1, Number.POSITIVE_INFINITY]],
    ["seed", [-1, 0.5, 2 ** 53, Number.NaN, 1n]],
  ])("%s refuses what makes no sense, naming itself", (name, values) => {
    for (const value of values) {
      expect(() => checkSampling({ [name]: value })).toThrow(
        expect.objectContaining({ code: "generation-invalid", details: { name, value } }),
      );
    }
  });

  test("the edges of each are allowed", () => {
    checkSampling({});
    checkSampling({ temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 0.01, seed: 0 });
    checkSampling({ temperature: 100, topK: 1e9, topP: 1e-9, minP: 1, repetitionPenalty: 10, seed: 2 ** 53 - 1 });
    checkSampling({ temperature: undefined, seed: undefined });
  });
});
