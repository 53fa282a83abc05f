/** attention_weight is what transformers computes, can be collected on demand, and refuses to be changed. */
import { expect, test } from "@jest/globals";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { parseSite } from "../../src/spec/sites.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";

const collecting = (layers: readonly number[]) =>
  layers.map((layer) => ({ layer, component: "attention_weight", interventionType: "CollectIntervention" }));

test.each(["gemma2", "gpt2", "gpt_neo", "gpt_neox", "llama", "llama3_rope", "mistral", "opt", "phi", "phi3", "qwen3"])(
  "%s: [batch, heads, positions, positions] as transformers has it",
  async (family) => {
    const model = await loadModel(fixture("models", family));
    const base = idsOf((await readTensors(fixture("models", family, "reference.safetensors"))).get("input_ids")!);
    const expected = await readTensors(fixture("attention", `${family}.safetensors`));
    const layers = [...new Array(model.shape.layers).keys()];
    const collected = await new IntervenableModel({ representations: collecting(layers) }, model).collect({ base });
    collected.forEach((weights, layer) => {
      const reference = expected.get(`layers.${layer}.attention_weight`)!;
      expect(weights.shape).toEqual(reference.shape);
      expect(largestDifference(weights.toFloat32(), reference.toFloat32())).toBeLessThan(1e-5);
    });
    await model.release();
  },
);

test("collecting them changes no logit, and rows of padding-free prompts sum to one", async () => {
  const model = await loadModel(fixture("models", "llama"));
  const iv = new IntervenableModel({ representations: collecting([2]) }, model);
  const { original, intervened, collected } = await iv.forward({ base: [[5, 9, 11, 40]] });
  expect(intervened.logits.toFloat32()).toEqual(original!.logits.toFloat32());
  const weights = collected[0]!.toFloat32();
  for (let row = 0; row < 16; row++) {
    const line = weights.slice(row * 4, row * 4 + 4);
    expect(line.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
    expect([...line].slice((row % 4) + 1).every((value) => value === 0)).toBe(true);
  }
  await model.release();
});

test("with capped scores and a window, they are what the layer mixes its values by", async () => {
  const shop = await Workshop.open();
  const model = await loadModel(await shop.checkpoint({ from: "gemma2", config: { attn_logit_softcapping: 0.5 } }));
  const { heads } = model.sites.locate(parseSite("layer 0 head_value_output"));
  const { count, size } = heads!;
  const representations = ["attention_weight", "value_output", "attention_value_output"].map((component) => {
    return { layer: 0, component, interventionType: "CollectIntervention" };
  });
  const base = [[5, 9, 11, 40, 3, 71, 71, 20, 8, 13, 64, 2]];
  const [weights, values, mixed] = (await new IntervenableModel({ representations }, model).collect({ base })).map(
    (tensor) => tensor.toFloat32(),
  ) as [Float32Array, Float32Array, Float32Array];
  const n = base[0]!.length;
  const shared = model.sites.locate(parseSite("layer 0 head_query_output")).heads!.count / count;
  const expected = mixed.map((_, i) => {
    const [query, head, d] = [
      Math.floor(i / (count * shared * size)),
      Math.floor(i / size) % (count * shared),
      i % size,
    ];
    const line = weights.subarray((head * n + query) * n, (head * n + query + 1) * n);
    expect([query, line.findIndex((weight) => weight > 0)]).toEqual([query, Math.max(0, query - 7)]);
    const group = Math.floor(head / shared);
    return line.reduce((sum, weight, key) => sum + weight * values[(key * count + group) * size + d]!, 0);
  });
  expect(largestDifference(mixed, expected)).toBeLessThan(1e-5 * rangeOf(expected));
  await model.release();
  await shop.close();
});

test("they can neither be changed nor collected while generating", async () => {
  const model = await loadModel(fixture("models", "gpt2"));
  const zero = { representations: [{ layer: 1, component: "attention_weight", interventionType: "zero" }] };
  expect(() => new IntervenableModel(zero, model)).toThrow(expect.objectContaining({ code: "intervention-invalid" }));
  const reading = new IntervenableModel({ representations: collecting([1]) }, model);
  await expect(reading.generate([3, 4, 5], { maxNewTokens: 2 })).rejects.toMatchObject({
    code: "intervention-invalid",
  });
  await model.release();
});
