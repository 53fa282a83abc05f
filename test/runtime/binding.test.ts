/** Interventions bound to a model: what fits, what is refused and why, what is said about it, what save records. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readArtefact } from "../../src/artefact/read.ts";
import { Tensor } from "../../src/base/tensor.ts";
import type { IntervenableConfig, RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { parseTokensPolicy } from "../../src/spec/tokens.ts";
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
      { code: "intervention-invalid", hint: expect.stringContaining("low-rank-rotated-space") },
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

describe("tensors of a config", () => {
  const place = { layer: 1, component: "block_output" } as const;
  const built = (representation: Partial<RepresentationConfig>) =>
    new IntervenableModel({ representations: { ...place, ...representation } as RepresentationConfig }, llama);
  const invalid = expect.objectContaining({ code: "intervention-invalid" });

  test("begin as pyvene's begin: orthonormal rotations, masks and boundaries at their usual values, the same for one seed", () => {
    const iv = built({ interventionType: "boundless-rotated-space", seed: 3 });
    const [rotation, boundary] = [...iv.getTrainableParameters().values()];
    expect([rotation!.shape, boundary!.shape, boundary!.toNumbers()]).toEqual([[32, 32], [1], [0.5]]);
    const w = rotation!.toFloat32();
    for (let i = 0; i < 32; i++) {
      for (let j = 0; j <= i; j++) {
        let product = 0;
        for (let r = 0; r < 32; r++) product += w[r * 32 + i]! * w[r * 32 + j]!;
        expect(product).toBeCloseTo(i === j ? 1 : 0, 5);
      }
    }
    const again = built({ interventionType: "boundless-rotated-space", seed: 3 });
    const other = built({ interventionType: "boundless-rotated-space", seed: 4 });
    expect([...again.getTrainableParameters().values()][0]!.toFloat32()).toEqual(w);
    expect([...other.getTrainableParameters().values()][0]!.toFloat32()).not.toEqual(w);
    const masks = built({ interventionType: "SigmoidMaskRotatedSpaceIntervention" }).getTrainableParameters();
    expect([...masks.values()][1]!.toNumbers()).toEqual(new Array(32).fill(100));
  });

  test("take their sizes from rank, latents and units", () => {
    const shapes = (representation: Partial<RepresentationConfig>) =>
      [...built(representation).getTrainableParameters().values()].map(({ shape }) => shape);
    const lowRank = { interventionType: "low-rank-rotated-space", lowRankDimension: 5 } as const;
    expect(shapes(lowRank)).toEqual([[32, 5]]);
    expect(shapes({ ...lowRank, maxNumberOfUnits: 3 })).toEqual([[96, 5]]);
    expect(shapes({ ...lowRank, component: "head_value_output", unit: "h" })).toEqual([[8, 5]]);
    expect(shapes({ interventionType: "autoencoder", latentDim: 40 })).toEqual([[40, 32], [40], [32, 40], [32]]);
    const lora = { component: "mlp_output", interventionType: "lora", parameters: { scaling: 1 }, lowRankDimension: 2 };
    expect(shapes(lora)).toEqual([
      [2, 32],
      [32, 2],
    ]);
  });

  test("default dimensions are pyvene's: JumpReLU takes the first d latents, Autoencoder the latent d", () => {
    const dimension = (representation: Partial<RepresentationConfig>) =>
      built(representation).artefact.manifest.interventions[0]!.dimension;
    expect(dimension({ interventionType: "jumprelu-autoencoder", lowRankDimension: 64 })).toBe(32);
    expect(dimension({ interventionType: "autoencoder", latentDim: 64 })).toEqual([32]);
    expect(dimension({ interventionType: "autoencoder", latentDim: 64, dimension: null })).toBeNull();
    expect(dimension({ interventionType: "rotated-space" })).toBeNull();
  });

  test("are refused when unknown, without a size, or of another width", () => {
    const vector = new Float32Array(32);
    expect(() => built({ interventionType: "loreft", tensors: { rotations: vector } })).toThrow(invalid);
    expect(() => built({ interventionType: "loreft" })).toThrow(
      expect.objectContaining({ code: "intervention-invalid", hint: expect.stringContaining("lowRankDimension") }),
    );
    expect(() => built({ interventionType: "pca-rotated-space", lowRankDimension: 3 })).toThrow(invalid);
    expect(() => built({ interventionType: "sigmoid-mask", tensors: { mask: new Float32Array(31) } })).toThrow(
      expect.objectContaining({ code: "artefact-tensor" }),
    );
    expect(() => built({ interventionType: "skip", component: "query_output" })).not.toThrow();
    expect(() => built({ interventionType: "skip", component: "block_input" })).toThrow(invalid);
    expect(() => built({ interventionType: "lora", component: "block_input", lowRankDimension: 1 })).toThrow(invalid);
  });

  test("are refused when they could not be held, or contradict what else is said", () => {
    const low = { interventionType: "low-rank-rotated-space" } as const;
    for (const size of [1e12, -1, 0, 1.5, Number.NaN]) {
      expect(() => built({ ...low, lowRankDimension: size })).toThrow(invalid);
    }
    for (const units of [-1, 0, 1e9, 1.5]) {
      expect(() => built({ ...low, lowRankDimension: 2, maxNumberOfUnits: units })).toThrow(
        expect.objectContaining({ code: "manifest-invalid", hint: "correct the config" }),
      );
    }
    const rotation = Tensor.float32([32, 2], new Float32Array(64));
    expect(() => built({ ...low, lowRankDimension: 4, tensors: { rotation } })).toThrow(invalid);
    expect(() => built({ interventionType: "addition", tensors: { source: new Float32Array(32) } })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("sourceRepresentation") }),
    );
    expect(() =>
      built({ interventionType: "loreft", lowRankDimension: 2, parameters: { activation: "none" } }),
    ).toThrow(expect.objectContaining({ code: "manifest-invalid", hint: "correct the config" }));
    const iv = built({ ...low, tensors: { rotation: Tensor.float32([32, 2], randomVector(64, 1)) } });
    expect(iv.notices.join()).toMatch(/orthonormal/);
  });

  test("a tokens policy may be a text", () => {
    const iv = built({ interventionType: "zero", tokens: "last" });
    expect(iv.artefact.manifest.interventions[0]!.tokens).toEqual(parseTokensPolicy("last"));
  });

  test("of a link belong to its first, and are counted once", () => {
    const low = { ...place, interventionType: "low-rank-rotated-space", interventionLinkKey: 0 } as const;
    const pair = [
      { ...low, lowRankDimension: 4 },
      { ...low, layer: 2 },
    ];
    const iv = new IntervenableModel({ representations: pair }, llama);
    const [first, second] = iv.artefact.manifest.interventions;
    expect(second!.tensors).toEqual(first!.tensors);
    const named = pair.map((one) => ({ ...one, interventionLinkKey: "a" }));
    const alone = { ...place, layer: 3, interventionType: "low-rank-rotated-space", lowRankDimension: 4 };
    const mixedIn = new IntervenableModel({ representations: [...named, alone] }, llama);
    expect(mixedIn.getTrainableParameters().size).toBe(2);
    expect(iv.getTrainableParameters().size).toBe(1);
    const own = [pair[0]!, { ...pair[1]!, tensors: { rotation: new Float32Array(32) } }];
    expect(() => new IntervenableModel({ representations: own }, llama)).toThrow(invalid);
    const mixed = [pair[0]!, { ...pair[1]!, interventionType: "zero" }];
    expect(() => new IntervenableModel({ representations: mixed }, llama)).toThrow(invalid);
  });

  test("unit t means positions where a model has steps, and nothing where it has none", async () => {
    const zero = { ...place, unit: "t", interventionType: "zero" } as const;
    expect(() => new IntervenableModel({ representations: zero }, llama)).toThrow(invalid);
    const mamba = await loadModel(fixture("models", "mamba"));
    const logits = async (unit: "t" | "pos") => {
      const iv = new IntervenableModel({ representations: { ...zero, unit } }, mamba);
      return (await iv.forward({ base: [[3, 5, 8, 2]], unitLocations: { base: 2 } })).intervened.logits.toFloat32();
    };
    expect(await logits("t")).toEqual(await logits("pos"));
    await mamba.release();
  });
});
