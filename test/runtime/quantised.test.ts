/** Models at q4 and q8: they compute with the rounded weights, take the same interventions, and say what they are. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { type LoadModelOptions, loadModel, type Model } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";
import { roundedTensors } from "../support/quantised.ts";
import { randomVector } from "../support/vectors.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const ids = [1, 17, 88, 42, 5, 63, 9];
const embeddings = {
  llama: "model.embed_tokens.weight",
  qwen3: "model.embed_tokens.weight",
  gemma: "model.embed_tokens.weight",
  mixtral: "model.embed_tokens.weight",
  gpt2: "transformer.wte.weight",
  mamba: "backbone.embeddings.weight",
} as const;

/** Where small differences grow: a router may choose another expert, and a recurrence takes them along. */
const sensitive: Readonly<Record<string, number>> = { mixtral: 0.25, mamba: 0.2 };

async function using<T>(folder: string, options: LoadModelOptions, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(folder, { cacheFolder: shop.path("cache"), ...options });
  try {
    return await use(model);
  } finally {
    await model.release();
  }
}

const roundedModel = (family: keyof typeof embeddings, bits: 4 | 8) =>
  shop.checkpoint({
    from: family,
    config: { tie_word_embeddings: false },
    tensors: (tensors) => roundedTensors(tensors, bits, embeddings[family]),
  });

describe.each(Object.keys(embeddings) as (keyof typeof embeddings)[])("%s", (family) => {
  test.each([4, 8] as const)("at q%i has the logits of its rounded weights", async (bits) => {
    const folder = fixture("models", family);
    const found = await using(folder, { dtype: `q${bits}` }, (model) => logitsOf(model, ids));
    const expected = await using(await roundedModel(family, bits), {}, (model) => logitsOf(model, ids));
    const original = await using(folder, {}, (model) => logitsOf(model, ids));
    const range = rangeOf(original);
    const [off, lost] = [largestDifference(found, expected) / range, largestDifference(found, original) / range];
    // What remains is the rounding of activations to 8 bits; that of 4-bit weights is far larger.
    expect(off).toBeLessThan(sensitive[family] ?? 0.03);
    expect(lost).toBeGreaterThan(bits === 4 ? 2 * off : 0);
  });
});

describe("steering at q4", () => {
  const addition = {
    representations: [
      {
        layer: 1,
        component: "block_output",
        interventionType: "AdditionIntervention",
        sourceRepresentation: randomVector(32, 5, 1.5),
      },
    ],
  } as const;
  const greedy = { maxNewTokens: 8, eosTokenIds: [] };

  test("adds the same vector at the same place: as on the rounded weights, and as nothing at strength 0", async () => {
    const steered = (model: Model) =>
      new IntervenableModel(addition, model).forward({
        base: [ids],
        unitLocations: { base: 3 },
        outputOriginalOutput: true,
      });
    const q4 = await using(fixture("models", "llama"), { dtype: "q4" }, steered);
    const reference = await using(await roundedModel("llama", 4), {}, steered);
    const [found, expected] = [q4.intervened.logits.toFloat32(), reference.intervened.logits.toFloat32()];
    expect(largestDifference(found, expected)).toBeLessThan(0.03 * rangeOf(expected));
    expect(largestDifference(found, q4.original!.logits.toFloat32())).toBeGreaterThan(0.1 * rangeOf(expected));
  });

  test("generates, plainly and steered, from one session", async () => {
    await using(fixture("models", "llama"), { dtype: "q4" }, async (model) => {
      const iv = new IntervenableModel(addition, model);
      const [plain, steered] = [await model.generate(ids, greedy), await iv.generate(ids, greedy)];
      const none = await iv.generate(ids, { ...greedy, strength: 0 });
      expect(none.tokens).toEqual(plain.tokens);
      expect(steered.tokens).not.toEqual(plain.tokens);
    });
  });
});

test("the dtype is said; an unknown one is refused by name before anything is read", async () => {
  await using(fixture("models", "llama"), {}, async (model) => expect(model.dtype).toBe("fp32"));
  await using(fixture("models", "llama"), { dtype: "q8" }, async (model) => expect(model.dtype).toBe("q8"));
  for (const dtype of ["int4", "Q4", "toString", null, 4]) {
    await expect(loadModel("nowhere", { dtype: dtype as never })).rejects.toMatchObject({
      code: "usage",
      details: { dtype },
      hint: expect.stringContaining("fp32, q8, q4"),
    });
  }
});

test("a fingerprint is the checkpoint's, whatever the dtype", async () => {
  const of = (dtype: "fp32" | "q4") => using(fixture("models", "llama"), { dtype }, async (model) => model.fingerprint);
  expect(await of("q4")).toBe(await of("fp32"));
});
