/** What must hold for interventions of any kind, on random choices: disjoint ones commute, strength 0 is plain, modes agree. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import { isAffine } from "../../src/interventions/kind.ts";
import { type BuiltInKind, kindTable } from "../../src/interventions/table.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { randomTensors } from "../support/operators.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
});
afterAll(() => model.release());

const sizes = { d: 32, n: 32, r: 4, f: 16, m: 32 };
const random = seededRandom(2026);
const below = (count: number) => Math.floor(random.uniform() * count);
const ids = (rows: number, columns: number) =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => below(96)));

const editing = (Object.keys(kindTable) as BuiltInKind[]).filter((kind) => kind !== "collect");

function representation(kind: BuiltInKind, component = "mlp_output", layer = 1): RepresentationConfig {
  const implementation = kindTable[kind];
  const tensors = isAffine(implementation) ? {} : { tensors: randomTensors(kind, sizes, below(1000)) };
  const parameters = kind === "lora" ? { parameters: { scaling: 2 } } : {};
  return { layer, component, interventionType: kind, ...tensors, ...parameters };
}

const needsSource = (kind: BuiltInKind) => {
  const implementation = kindTable[kind];
  return isAffine(implementation) ? implementation.affine.gain !== 0 && kind !== "noise" : implementation.takesSource;
};
/** Noise spans four positions. */
const positionsFor = (kind: BuiltInKind, from: number) =>
  (kind === "noise" ? [0, 1, 2, 3] : [0, 1]).map((p) => from + p);

describe.each(editing)("%s", (kind) => {
  test("commutes with a disjoint intervention of any kind", async () => {
    for (let round = 0; round < 3; round++) {
      const other = editing[below(editing.length)]!;
      const pair = [representation(kind), representation(other)];
      const places = [positionsFor(kind, 0), positionsFor(other, 4)];
      const base = ids(2, 9);
      const given = [kind, other].map((one) => (needsSource(one) ? ids(2, 9) : null));
      const run = async (order: readonly number[]) => {
        const iv = new IntervenableModel({ representations: order.map((i) => pair[i]!) }, model);
        const at = order.map((i) => [places[i]!, places[i]!]);
        const { intervened, original } = await iv.forward({
          base,
          sources: order.map((i) => given[i]!),
          unitLocations: { "sources->base": [at, at] },
        });
        return [intervened.logits.toFloat32(), original!.logits.toFloat32()] as const;
      };
      const [[forth, plain], [back]] = [await run([0, 1]), await run([1, 0])];
      const range = rangeOf(plain);
      expect(largestDifference(forth, back)).toBeLessThanOrEqual(1e-5 * range);
      expect(largestDifference(forth, plain)).toBeGreaterThan(1e-5 * range);
    }
  });

  test("at strength 0 is the plain model, bit for bit", async () => {
    const iv = new IntervenableModel({ representations: [representation(kind)] }, model);
    const base = ids(2, 7);
    const at = positionsFor(kind, 1);
    const unitLocations = { "sources->base": [[[at, at]], [[at, at]]] };
    const sources = [needsSource(kind) ? ids(2, 7) : null];
    const { intervened, original } = await iv.forward({ base, sources, unitLocations, strength: 0 });
    expect(intervened.logits.toFloat32()).toEqual(original!.logits.toFloat32());
  });

  if (needsSource(kind)) {
    test("in serial mode with one source is what it is in parallel mode", async () => {
      const one = representation(kind);
      const [base, source] = [ids(2, 6), ids(2, 6)];
      const [parallel, serial] = (["parallel", "serial"] as const).map(
        (mode) => new IntervenableModel({ representations: [one], mode }, model),
      );
      const sides = [[[[2], [3]]], [[[4], [1]]]];
      const expected = await parallel!.forward({ base, sources: [source], unitLocations: { "sources->base": sides } });
      const found = await serial!.forward({ base, sources: [source], unitLocations: { "source_0->base": sides } });
      expect(found.intervened.logits.toFloat32()).toEqual(expected.intervened.logits.toFloat32());
    });

    if (kind !== "skip") {
      test("values passed in are as good as the source they come from", async () => {
        const iv = new IntervenableModel({ representations: [representation(kind)] }, model);
        const reading = new IntervenableModel(
          { representations: [{ layer: 1, component: "mlp_output", interventionType: "collect" }] },
          model,
        );
        const [base, source] = [ids(3, 6), ids(3, 6)];
        const key = iv.artefact.manifest.interventions[0]!.key;
        const [values] = await reading.collect({ base: source, unitLocations: { base: [[[1, 4]]] } });
        const unitLocations = { "sources->base": [[[[1, 4]]], [[[2, 5]]]] };
        const run = await iv.forward({ base, sources: [source], unitLocations });
        const passed = await iv.forward({ base, sourceRepresentations: { [key]: values! }, unitLocations });
        const expected = run.intervened.logits.toFloat32();
        expect(largestDifference(passed.intervened.logits.toFloat32(), expected)).toBeLessThan(1e-4);
        const again = { [key]: randomVector(32, 4) };
        const other = await iv.forward({ base, sourceRepresentations: again, unitLocations });
        expect(largestDifference(other.intervened.logits.toFloat32(), expected)).toBeGreaterThan(1e-3);
      });
    }
  }
});

test("in serial mode a source that is changed after what is read of it stays what it was", async () => {
  const pair = [representation("vanilla"), representation("low-rank-rotated-space")];
  const [base, first, second] = [ids(2, 8), ids(2, 8), ids(2, 8)];
  const serial = new IntervenableModel({ representations: pair, mode: "serial" }, model);
  const parallel = new IntervenableModel({ representations: pair }, model);
  // The first leg writes position 6 of the second source; position 2 of it, which is read, comes before.
  const found = await serial.forward({
    base,
    sources: [first, second],
    unitLocations: { "source_0->source_1": [3, 6], "source_1->base": [2, 5] },
  });
  const expected = await parallel.forward({
    base,
    sources: [null, second],
    unitLocations: {
      "sources->base": [
        [[[3]], [[2]]],
        [[[6]], [[5]]],
      ],
    },
  });
  const logits = expected.intervened.logits.toFloat32();
  expect(largestDifference(found.intervened.logits.toFloat32(), logits)).toBeLessThanOrEqual(1e-5 * rangeOf(logits));
});

test("values passed in for what takes none, or for nothing, are refused", async () => {
  const iv = new IntervenableModel({ representations: [representation("zero")] }, model);
  const key = iv.artefact.manifest.interventions[0]!.key;
  for (const name of [key, "nothing"]) {
    const given = iv.forward({ base: ids(1, 4), sourceRepresentations: { [name]: [1] } });
    await expect(given).rejects.toMatchObject({ code: "sources-invalid" });
  }
  const vanilla = new IntervenableModel({ representations: [representation("vanilla")] }, model);
  const [entry] = vanilla.artefact.manifest.interventions;
  const narrow = vanilla.forward({ base: ids(1, 4), sourceRepresentations: { [entry!.key]: [1, 2] } });
  await expect(narrow).rejects.toMatchObject({ code: "base-mismatch" });
});
