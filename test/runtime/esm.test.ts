/** ESM, an encoder: transformers' numbers whatever the padding, forward and collect; generating is refused. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import { forwardPass } from "../../src/runtime/forward.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { rectangular } from "../../src/runtime/prompt-batch.ts";
import { batchLogits, componentShares, share } from "../support/against-reference.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, idsOf, readTensors } from "../support/fixtures.ts";

const folder = fixture("models", "esm");
let model: Model;
let reference: Map<string, Tensor>;
let steered: Map<string, Tensor>;
let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
  model = await loadModel(folder);
  reference = await readTensors(`${folder}/reference.safetensors`);
  steered = await readTensors(`${folder}/steered.safetensors`);
});
afterAll(async () => {
  await model.release();
  await shop.close();
});

/** Values of the real tokens only: what a model says at padding means nothing. */
function realOnly(values: Float32Array, mask: Tensor): Float32Array {
  const real = mask.toNumbers();
  const width = values.length / real.length;
  return values.filter((_, i) => real[Math.floor(i / width)] === 1);
}

describe("as transformers computes it", () => {
  test("logits and every component", async () => {
    const found = await batchLogits(model, reference.get("input_ids")!);
    expect(share(found, reference.get("logits")!)).toBeLessThanOrEqual(1e-4);
    const shares = await componentShares(model, reference);
    expect(shares.size).toBe(4 * 10);
    for (const [name, value] of shares) expect([name, value <= 1e-4]).toEqual([name, true]);
  });

  test.each(["padded", "right"])("a batch with padding on one side: %s", async (side) => {
    const mask = steered.get(`${side}.attention_mask`)!;
    const found = await batchLogits(model, steered.get(`${side}.input_ids`)!, mask);
    const expected = steered.get(`${side}.logits`)!;
    const real = realOnly(found, mask);
    expect(real.length).toBe(16 * 33);
    expect(realOnly(expected.toFloat32(), mask).every((value, i) => Math.abs(value - real[i]!) < 1e-4)).toBe(true);
  });

  test("masked tokens are zeroed and the others grow, where token_dropout says so", async () => {
    const changed = await loadModel(await shop.checkpoint({ from: "esm", config: { token_dropout: true } }));
    const found = await batchLogits(changed, steered.get("dropout.input_ids")!);
    expect(share(found, steered.get("dropout.logits")!)).toBeLessThanOrEqual(1e-4);
    expect(
      share(await batchLogits(model, steered.get("dropout.input_ids")!), steered.get("dropout.logits")!),
    ).toBeGreaterThan(0.01);
    await changed.release();
  });

  test("learned positions, a LayerNorm before and token dropout (ESM-1b)", async () => {
    const older = await loadModel(fixture("models", "esm_absolute"));
    const expected = await readTensors(fixture("models", "esm_absolute", "expected.safetensors"));
    const mask = expected.get("attention_mask")!;
    const found = realOnly(await batchLogits(older, expected.get("input_ids")!, mask), mask);
    const logits = realOnly(expected.get("logits")!.toFloat32(), mask);
    expect(logits.every((value, i) => Math.abs(value - found[i]!) < 1e-4)).toBe(true);
    expect(older.shape.contextLength).toBe(38);
    await older.release();
  });

  test("a vector added to a middle block's output", async () => {
    const representation = {
      layer: steered.get("layer")!.toNumbers()[0]!,
      component: "block_output",
      interventionType: "AdditionIntervention",
      sourceRepresentation: steered.get("vector")!,
    } as const;
    const iv = new IntervenableModel({ representations: [representation] }, model);
    const { intervened, original } = await iv.forward({ base: idsOf(reference.get("input_ids")!) });
    expect(share(intervened.logits.toFloat32(), steered.get("logits")!)).toBeLessThanOrEqual(1e-4);
    expect(share(original!.logits.toFloat32(), steered.get("logits")!)).toBeGreaterThan(0.05);
  });
});

describe("an encoder", () => {
  test("sees what comes after: changing the last token changes the first one's logits", async () => {
    const rows = [
      [0, 5, 6, 7, 8, 2],
      [0, 5, 6, 7, 9, 2],
    ];
    const batch = rectangular(rows, undefined, 33);
    const { logits } = await forwardPass(model, { batch, points: [], logitRows: [0, 6] });
    expect(logits.subarray(0, 33)).not.toEqual(logits.subarray(33));
  });

  test("collects the attention weights that transformers has, which are not causal", async () => {
    const representations = [{ layer: 1, component: "attention_weight", interventionType: "CollectIntervention" }];
    const mask = steered.get("padded.attention_mask")!;
    const base = { inputIds: idsOf(steered.get("padded.input_ids")!), attentionMask: idsOf(mask) };
    const [weights] = await new IntervenableModel({ representations }, model).collect({ base });
    const expected = steered.get("padded.attention.1")!;
    expect(weights!.shape).toEqual(expected.shape);
    // Rows of padding tokens mean nothing.
    const [all, own] = [expected.toFloat32(), weights!.toFloat32()];
    const real = mask.toNumbers();
    own.forEach((value, i) => {
      const query = Math.floor(i / 10) % 10;
      const row = Math.floor(i / 400);
      if (real[row * 10 + query] === 1) expect(Math.abs(value - all[i]!)).toBeLessThan(1e-5);
    });
    expect(own[9]).toBeGreaterThan(0);
  });

  test("does not generate, plain or steered", async () => {
    const refusal = { code: "generation-unsupported", hint: "use forward and collect" };
    await expect(model.generate([0, 5, 6], { maxNewTokens: 2 })).rejects.toMatchObject(refusal);
    const iv = new IntervenableModel(
      { representations: [{ layer: 1, component: "block_output", interventionType: "ZeroIntervention" }] },
      model,
    );
    await expect(iv.generate([0, 5, 6], { maxNewTokens: 2 })).rejects.toMatchObject(refusal);
  });
});
