/** Interventions bound to a model: what fits, what is refused and why, what is said about it, what save records. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readArtefact } from "../../src/artefact/read.ts";
import { Tensor } from "../../src/base/tensor.ts";
import type { IntervenableConfig, RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { randomVector } from "../support/vectors.ts";

let shop: Workshop;
let llama: Model;
let gpt2: Model;
let saved: string;
const adding: RepresentationConfig = {
  layer: 1,
  component: "block_output",
  interventionType: "AdditionIntervention",
  sourceRepresentation: randomVector(32, 1),
};
beforeAll(async () => {
  shop = await Workshop.open();
  llama = await loadModel(fixture("models", "llama"));
  gpt2 = await loadModel(fixture("models", "gpt2"));
  saved = shop.path("adding");
  await new IntervenableModel({ representations: adding, name: "adding" }, llama).save(saved);
});
afterAll(async () => {
  await Promise.all([llama.release(), gpt2.release()]);
  await shop.close();
});

describe("the base", () => {
  test("is recorded by save", async () => {
    const manifest = JSON.parse(await readFile(join(saved, "intervention.json"), "utf8"));
    expect(manifest.base).toEqual({
      model: "llama",
      architecture: "llama",
      layers: 4,
      hiddenSize: 32,
      fingerprint: llama.fingerprint,
    });
    expect(llama.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  test("of another architecture is refused, both sides named", async () => {
    await expect(IntervenableModel.load(saved, gpt2)).rejects.toMatchObject({
      code: "base-mismatch",
      message: "adding was made for llama (architecture llama), gpt2 has architecture gpt2",
      details: { what: "architecture", expected: "llama", found: "gpt2" },
    });
  });

  test("with another number of layers or another hidden size is refused", async () => {
    const fewer = await loadModel(await shop.checkpoint({ config: { num_hidden_layers: 3 } }));
    await expect(IntervenableModel.load(saved, fewer)).rejects.toMatchObject({
      code: "base-mismatch",
      details: { what: "layers", expected: 4, found: 3 },
    });
    const { artefact } = await readArtefact(saved);
    const wider = {
      ...artefact,
      manifest: { ...artefact.manifest, base: { ...artefact.manifest.base, hiddenSize: 64 } },
    };
    expect(() => new IntervenableModel(wider, llama)).toThrow(
      expect.objectContaining({ code: "base-mismatch", details: { what: "hidden size", expected: 64, found: 32 } }),
    );
  });

  test("of the same layout loads without a word, of another dtype or layout with one notice, under strictBase not at all", async () => {
    expect((await IntervenableModel.load(saved, llama, { strictBase: true })).notices).toEqual([]);
    const tensors = (all: Map<string, Tensor>) =>
      new Map([...all].map(([name, tensor]) => [name, tensor.to("bfloat16")]));
    const quantised = await loadModel(await shop.checkpoint({ tensors }), { cacheFolder: shop.path("cache") });
    expect(quantised.fingerprint).not.toBe(llama.fingerprint);
    const { notices } = await IntervenableModel.load(saved, quantised);
    expect(notices).toEqual(["made for llama; this model has the same shape but other weights or precision"]);
    await expect(IntervenableModel.load(saved, quantised, { strictBase: true })).rejects.toMatchObject({
      code: "base-mismatch",
      details: { expected: llama.fingerprint, found: quantised.fingerprint },
    });
  });

  test("that pyvene did not record is a notice, and what fits is decided by the sites", async () => {
    const folder = fixture("cases", "llama", "addition_constant", "saved");
    const { notices, artefact } = await IntervenableModel.load(folder, llama);
    expect([notices.length, artefact.manifest.base.model]).toEqual([1, null]);
    await expect(IntervenableModel.load(folder, llama, { strictBase: true })).rejects.toMatchObject({
      code: "base-mismatch",
      message: expect.stringContaining("records no fingerprint"),
    });
    await IntervenableModel.load(folder, gpt2);
    const paths = fixture("cases", "llama", "generate_honest_all_tokens", "saved");
    await expect(IntervenableModel.load(paths, gpt2)).rejects.toMatchObject({ code: "site-unknown" });
  });

  test("a vector of another width, from a file that records no base", async () => {
    const folder = fixture("cases", "llama", "addition_constant", "saved");
    const { artefact } = await readArtefact(folder);
    const [name] = artefact.tensors.keys();
    const narrow = { ...artefact, tensors: new Map([[name!, Tensor.float32([48], randomVector(48, 1))]]) };
    expect(() => new IntervenableModel(narrow, llama)).toThrow(
      expect.objectContaining({ code: "base-mismatch", details: expect.objectContaining({ found: 48, expected: 32 }) }),
    );
  });

  test("keeps being recorded when it is saved again from a model of the same shape", async () => {
    const renamed = await loadModel(await shop.checkpoint({ config: { _name_or_path: "me/fine-tune" } }));
    const iv = await IntervenableModel.load(saved, renamed);
    await iv.save(shop.path("again"));
    const { artefact } = await readArtefact(shop.path("again"));
    expect(artefact.manifest.base.model).toBe("llama");
    const fresh = new IntervenableModel({ representations: adding }, renamed);
    expect(fresh.artefact.manifest.base.model).toBe("me/fine-tune");
  });
});

describe("a config", () => {
  const refused = (representation: unknown, more: Partial<IntervenableConfig> = {}) => {
    try {
      return new IntervenableModel({ representations: representation as RepresentationConfig, ...more }, llama);
    } catch (error) {
      return error;
    }
  };

  test.each<[string, object, object]>([
    [
      "a kind nobody knows",
      { interventionType: "RotationIntervention" },
      { code: "intervention-invalid", hint: expect.stringContaining("addition (AdditionIntervention)") },
    ],
    ["a name of Object's as kind", { interventionType: "constructor" }, { code: "intervention-invalid" }],
    ["a layer that is not there", { layer: 4 }, { code: "site-out-of-range", details: { layer: 4, layers: 4 } }],
    ["a negative layer", { layer: -1 }, { code: "site-unknown" }],
    ["half a layer", { layer: 1.5 }, { code: "site-unknown" }],
    [
      "pyvene's spelling",
      { max_number_of_units: 2 },
      { code: "intervention-invalid", hint: "it is called maxNumberOfUnits" },
    ],
    ["a component without a layer", { layer: undefined }, { code: "intervention-invalid", hint: expect.any(String) }],
    ["a component nobody knows", { component: "block" }, { code: "site-unknown" }],
    ["a module nobody has", { component: "model.layers[1].mlp.gate.output" }, { code: "site-unknown" }],
    ["a module without a side", { component: "model.layers[1].mlp" }, { code: "site-unknown" }],
    [
      "a module of a layer that is not there",
      { component: "model.layers[9].mlp.output" },
      { code: "site-out-of-range" },
    ],
    [
      "heads of a place without heads",
      { unit: "h" },
      { code: "intervention-invalid", hint: expect.stringContaining("head_") },
    ],
    ["steps of a recurrent model", { unit: "t" }, { code: "intervention-invalid" }],
    ["a vector of another width", { sourceRepresentation: randomVector(31, 1) }, { code: "artefact-tensor" }],
    ["a vector with NaN", { sourceRepresentation: new Float32Array(32).fill(Number.NaN) }, { code: "tensor-invalid" }],
    [
      "a vector with Infinity",
      { sourceRepresentation: [Number.POSITIVE_INFINITY, ...new Array(31).fill(0)] },
      { code: "tensor-invalid" },
    ],
    [
      "a vector of integers",
      { sourceRepresentation: Tensor.int64([32], new Array(32).fill(1)) },
      { code: "artefact-tensor" },
    ],
    ["an empty vector", { sourceRepresentation: [] }, { code: "artefact-tensor" }],
    [
      "a vector for a kind that has none",
      { interventionType: "zero" },
      { code: "intervention-invalid", message: expect.stringContaining("zero") },
    ],
    ["a vector too narrow for a path", { component: "model.layers[1].mlp.act_fn.output" }, { code: "base-mismatch" }],
    ["a strength outside its own range", { strength: { default: 9 } }, { code: "manifest-invalid" }],
    ["a tokens policy that is none", { tokens: { prompt: "some", generated: "all" } }, { code: "manifest-invalid" }],
    ["zero units", { maxNumberOfUnits: 0 }, { code: "manifest-invalid" }],
    ["an empty part", { subspacePartition: [[3, 3]] }, { code: "manifest-invalid" }],
  ])("with %s is refused", (_, change, expected) => {
    expect(refused({ ...adding, ...change })).toMatchObject(expected);
  });

  test("without interventions, or with a name no file could have, is refused", () => {
    expect(refused([])).toMatchObject({ code: "manifest-invalid" });
    expect(refused(adding, { name: "../up" })).toMatchObject({ code: "manifest-invalid" });
  });

  test("keys of equal interventions are told apart by a number, as pyvene does", () => {
    const iv = new IntervenableModel({ representations: [adding, adding] }, llama);
    expect(iv.artefact.manifest.interventions.map(({ key }) => key)).toEqual([
      "layer_1_comp_block_output_unit_pos_nunit_1#0",
      "layer_1_comp_block_output_unit_pos_nunit_1#1",
    ]);
  });

  test("subspaces of features, parts or rows that are not there are refused", async () => {
    const iv = new IntervenableModel(
      {
        representations: {
          ...adding,
          subspacePartition: [
            [0, 8],
            [8, 32],
          ],
        },
      },
      llama,
    );
    const open = new IntervenableModel({ representations: adding }, llama);
    const run = (model: IntervenableModel, subspaces: unknown) =>
      model.forward({
        base: [
          [1, 2],
          [3, 4],
        ],
        subspaces: subspaces as [[[number]]],
      });
    for (const subspaces of [[[[2]]], [[[-1]]], [[[0.5]]], [[[0], [1], [0]]], [["a"]], [[0]]]) {
      await expect(run(iv, subspaces)).rejects.toMatchObject({ code: "intervention-invalid" });
    }
    await expect(run(open, [[[32]]])).rejects.toMatchObject({ code: "intervention-invalid", details: { feature: 32 } });
    expect((await run(iv, [[[1], [0, 1]]])).intervened.logits.shape).toEqual([2, 2, 96]);
  });
});
