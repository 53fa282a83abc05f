/** A user's own interventions: registered, run, saved and loaded; files name them and never bring them along. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { defineIntervention, type InterventionDefinition } from "../../src/interventions/definitions.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { fixture, largestDifference } from "../support/fixtures.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
let scratch: string;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
  scratch = await mkdtemp(join(tmpdir(), "vene-definitions-"));
});
afterAll(async () => {
  await model.release();
  await rm(scratch, { recursive: true });
});

/** Takes out the component along a direction: h - amount (h . v) v. */
const ablation = defineIntervention({
  name: "test/ablation",
  tensors: { direction: "[o, n]" },
  parameters: { amount: 1 },
  emit(builder, { base, tensors, parameters }) {
    const share = builder.linear("share", base, tensors["direction"]!);
    const part = builder.matmul("part", share, tensors["direction"]!);
    return builder.sub("ablated", base, builder.mul("scaled", part, builder.scalar(Number(parameters["amount"]))));
  },
});

const at = { layer: 2, component: "block_output" } as const;
const collect = { ...at, interventionType: "collect" };
const unit = (() => {
  const values = randomVector(32, 3);
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
})();
const direction = Tensor.float32([1, 32], unit);

test("is run, saved and loaded by name", async () => {
  const own = { ...at, interventionType: ablation, tensors: { direction }, parameters: { amount: 0.5 } };
  const iv = new IntervenableModel({ representations: [collect, own, collect] }, model);
  const base = [[5, 9, 30, 2]];
  const [before, after] = (await iv.collect({ base })).map((tensor) => tensor.toFloat32());
  for (let row = 0; row < 4; row++) {
    const own = before!.subarray(row * 32, (row + 1) * 32);
    const share = own.reduce((sum, value, i) => sum + value * unit[i]!, 0);
    const expected = own.map((value, i) => value - 0.5 * share * unit[i]!);
    expect(largestDifference(after!.subarray(row * 32, (row + 1) * 32), expected)).toBeLessThan(1e-5);
  }
  const { notices } = await iv.save(join(scratch, "own"));
  expect(notices.join()).toMatch(/pyvene/);
  const loaded = await IntervenableModel.load(join(scratch, "own"), model);
  expect((await loaded.collect({ base }))[1]!.toFloat32()).toEqual(after);
  expect(loaded.artefact.manifest.interventions[1]).toMatchObject({
    kind: "custom",
    parameters: { definition: "test/ablation", amount: 0.5 },
  });
  expect([...loaded.getTrainableParameters().keys()]).toEqual([
    `${loaded.artefact.manifest.interventions[1]!.key}.direction`,
  ]);
});

test("takes a source and several units where it says so", async () => {
  const mean = defineIntervention({
    name: "test/mean",
    takesSource: true,
    units: "together",
    emit: (builder, { base, source }) => builder.mul("mean", builder.add("sum", base, source!), builder.scalar(0.5)),
  });
  const own = { ...at, interventionType: mean, maxNumberOfUnits: 2, sourceRepresentation: new Float32Array(32) };
  const iv = new IntervenableModel({ representations: [collect, own, collect] }, model);
  const [before, after] = await iv.collect({
    base: [[5, 9, 30]],
    unitLocations: { base: [[[0, 2]], [[0, 2]], [[0, 2]]] },
  });
  const halves = before!.toFloat32().map((value) => value / 2);
  expect(largestDifference(after!.toFloat32(), halves)).toBeLessThan(1e-6);
});

test("an artefact that names what nobody registered is refused", async () => {
  const own = { ...at, interventionType: ablation, tensors: { direction } };
  const iv = new IntervenableModel({ representations: [own] }, model);
  const { manifest, tensors } = iv.artefact;
  const [entry] = manifest.interventions;
  const renamed = { ...entry!, parameters: { definition: "test/unknown" } } as typeof entry;
  const artefact = { manifest: { ...manifest, interventions: [renamed!] }, tensors };
  expect(() => new IntervenableModel(artefact, model)).toThrow(
    expect.objectContaining({ code: "intervention-invalid", message: expect.stringContaining("test/unknown") }),
  );
});

describe("refuses", () => {
  const good: InterventionDefinition = { name: "test/good", emit: (_, { base }) => base };
  const cases: readonly (readonly [string, unknown])[] = [
    ["a name with capitals", { ...good, name: "Test" }],
    ["a name that is taken", { ...good, name: "test/ablation" }],
    ["no emit", { name: "test/none" }],
    ["a shape that is none", { ...good, name: "test/shape", tensors: { a: "n x r" } }],
    ["a role that is none", { ...good, name: "test/role", tensors: { "a b": "[n]" } }],
    ["an unknown option", { ...good, name: "test/option", tensor: {} }],
  ];
  test.each(cases)("%s", (_, definition) => {
    expect(() => defineIntervention(definition as InterventionDefinition)).toThrow(
      expect.objectContaining({ code: "intervention-invalid" }),
    );
  });

  test("tensors that the definition does not have, or not of that width", () => {
    const build = (tensors: Record<string, Tensor>) =>
      new IntervenableModel({ representations: { ...at, interventionType: ablation, tensors } }, model);
    for (const tensors of [{}, { direction, other: direction }]) {
      expect(() => build(tensors)).toThrow(expect.objectContaining({ code: "intervention-invalid" }));
    }
    expect(() => build({ direction: Tensor.float32([1, 31], unit.subarray(1)) })).toThrow(
      expect.objectContaining({ code: "base-mismatch" }),
    );
  });
});
