/** Each affine kind on a real model against its own plain-JS maths: the value before, the value after, on any shape and strength. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import { type AffineKind, applyAffine, isAffine } from "../../src/interventions/kind.ts";
import { type BuiltInKind, kindTable } from "../../src/interventions/table.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { kindSpecs } from "../../src/spec/kinds.ts";
import { fixture, largestDifference } from "../support/fixtures.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
});
afterAll(() => model.release());

const places = [
  { layer: 2, component: "block_output", width: 32 },
  { layer: 0, component: "value_output", width: 16 },
  { layer: 3, component: "mlp_activation", width: 56 },
] as const;
const shapes = [
  [1, 1],
  [1, 7],
  [3, 1],
  [4, 5],
] as const;
const strengths = [-2, -1, -0.3, 0, 0.5, 1, 2];

const random = seededRandom(99);
const ids = (rows: number, columns: number) =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => Math.floor(random.uniform() * 96)));

/** Collects a place before and after the intervention there: points at one value apply in order. */
function around(place: (typeof places)[number], representation: RepresentationConfig): IntervenableModel {
  const reading = { layer: place.layer, component: place.component, interventionType: "collect" };
  return new IntervenableModel({ representations: [reading, representation, reading] }, model);
}

/** Noise and skip do the same maths with a source of their own: pyvene's cases hold them. */
const affineKinds = (Object.keys(kindTable) as BuiltInKind[]).filter(
  (kind) => isAffine(kindTable[kind]) && kind !== "noise" && kind !== "skip",
);
const affineOf = (kind: BuiltInKind) => (kindTable[kind] as AffineKind).affine;

describe.each(affineKinds)("%s", (kind) => {
  const affine = affineOf(kind);
  const withSource = affine.gain !== 0;

  test.each(places)("at $component with a constant source", async (place) => {
    const source = randomVector(place.width, 7);
    const { layer, component } = place;
    const iv = around(place, {
      layer,
      component,
      interventionType: kind,
      ...(withSource ? { sourceRepresentation: source } : {}),
    });
    for (const [rows, columns] of shapes) {
      const base = ids(rows, columns);
      for (const strength of strengths) {
        const [before, after] = (await iv.collect({ base, strength }))
          .filter((_, i, all) => i === 0 || i === all.length - 1)
          .map((tensor) => tensor.toFloat32()) as [Float32Array, Float32Array];
        expect(before.length).toBe(rows * columns * place.width);
        const repeated = Float32Array.from(before, (_, i) => source[i % place.width]!);
        const expected = applyAffine(affine, before, withSource ? repeated : undefined, strength);
        expect(largestDifference(after, expected)).toBeLessThan(1e-5);
        if (strength === 0 || kind === "collect") expect(after).toEqual(before);
        else expect(largestDifference(after, before)).toBeGreaterThan(0.01);
      }
    }
  });

  if (withSource) {
    test("with a source that is run", async () => {
      const place = places[0];
      const { layer, component } = place;
      const iv = around(place, { layer, component, interventionType: kind });
      const reading = new IntervenableModel(
        { representations: { layer, component, interventionType: "collect" } },
        model,
      );
      for (const [rows, columns] of shapes) {
        const [base, source] = [ids(rows, columns), ids(rows, columns)];
        const [values] = await reading.collect({ base: source });
        for (const strength of [-1, 0, 0.5, 1]) {
          const collected = await iv.collect({ base, sources: [null, source, null], strength });
          const expected = applyAffine(affine, collected[0]!.toFloat32(), values!.toFloat32(), strength);
          expect(largestDifference(collected[1]!.toFloat32(), expected)).toBeLessThan(1e-5);
        }
      }
    });
  }

  test("is described as it computes", () => {
    const { constantSource, strength } = kindSpecs[kind];
    expect(constantSource === "never").toBe(!withSource);
    expect(strength).toBe(affine.keep === 0 ? "blend" : withSource ? "factor" : "none");
    expect(kindTable[kind].kind).toBe(kind);
  });
});

test("applyAffine at strength 1 is the textbook's formula", () => {
  const [base, source] = [Float32Array.of(1, -2, 3), Float32Array.of(10, 20, -30)];
  const at = (kind: BuiltInKind, strength: number) => [
    ...applyAffine(affineOf(kind), base, affineOf(kind).gain === 0 ? undefined : source, strength),
  ];
  expect(at("addition", 1)).toEqual([11, 18, -27]);
  expect(at("subtraction", 1)).toEqual([-9, -22, 33]);
  expect(at("vanilla", 1)).toEqual([10, 20, -30]);
  expect(at("vanilla", 0.5)).toEqual([5.5, 9, -13.5]);
  expect(at("zero", 1)).toEqual([0, 0, 0]);
  expect(at("zero", 0.5)).toEqual([0.5, -1, 1.5]);
  expect(at("collect", 1)).toEqual([1, -2, 3]);
});
