/** Mamba: transformers' numbers, and states that chain through chunks, padding and batches without changing a result. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { idsBetween, leftPadded } from "../../src/runtime/prompt-batch.ts";
import { TokenRun } from "../../src/runtime/token-run.ts";
import { batchLogits, componentShares, share } from "../support/against-reference.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";

const folder = fixture("models", "mamba");
const options = { maxNewTokens: 12, eosTokenIds: [] };
let model: Model;
let reference: Map<string, Tensor>;
let steered: Map<string, Tensor>;
beforeAll(async () => {
  model = await loadModel(folder);
  reference = await readTensors(`${folder}/reference.safetensors`);
  steered = await readTensors(`${folder}/steered.safetensors`);
});
afterAll(() => model.release());

/** The padded batch's prompts without their padding. */
function ragged(): number[][] {
  const mask = idsOf(steered.get("padded.attention_mask")!);
  return idsOf(steered.get("padded.input_ids")!).map((row, r) => row.filter((_, column) => mask[r]![column] === 1));
}

describe("as transformers computes it", () => {
  test("logits and every component", async () => {
    const found = await batchLogits(model, reference.get("input_ids")!);
    expect(share(found, reference.get("logits")!)).toBeLessThanOrEqual(1e-4);
    const shares = await componentShares(model, reference);
    expect(shares.size).toBe(4 * 4);
    for (const [name, value] of shares) expect([name, value <= 1e-4]).toEqual([name, true]);
  });

  test("greedy tokens, alone and in a left-padded batch", async () => {
    const [first] = idsOf(reference.get("input_ids")!);
    const alone = await model.generate(first!, options);
    expect([...first!, ...alone.tokens]).toEqual(idsOf(reference.get("greedy")!)[0]);
    const together = await model.generate(ragged(), options);
    expect(together.map(({ tokens }) => tokens)).toEqual(
      idsOf(steered.get("padded.plain")!).map((row) => row.slice(10)),
    );
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
    const everywhere = { ...options, tokens: { prompt: "all", generated: "all" } } as const;
    const [first] = idsOf(reference.get("input_ids")!);
    const alone = await iv.generate(first!, everywhere);
    expect([...first!, ...alone.tokens]).toEqual(idsOf(steered.get("greedy")!)[0]);
    const together = await iv.generate(ragged(), everywhere);
    expect(together.map(({ tokens }) => tokens)).toEqual(
      idsOf(steered.get("padded.greedy")!).map((row) => row.slice(10)),
    );
  });
});

const prompts = [
  [1, 17, 88, 42, 5],
  [9],
  [71, 12, 12, 95, 0, 44, 3, 3, 60, 2, 81],
  [30, 30],
  [64, 7, 19, 50, 22, 38, 90],
];

describe("states", () => {
  test.each([1, 2, 3, 7])("a prompt read in steps of %i gives the logits of one step", async (size) => {
    const batch = leftPadded(prompts, 0, model.shape.vocabularySize);
    const lease = await model.lease([]);
    const run = new TokenRun(lease, model.shape, batch);
    const vocabulary = model.shape.vocabularySize;
    const found = prompts.map(() => new Float32Array(batch.columns * vocabulary));
    while (run.done < batch.columns) {
      const [from, to] = [run.done, Math.min(batch.columns, run.done + size)];
      const logitRows = Array.from({ length: prompts.length * (to - from) }, (_, i) => i);
      const { logits } = await run.step({ ids: idsBetween(batch, from, to), logitRows, edits: [] });
      const width = (to - from) * vocabulary;
      found.forEach((values, r) => {
        values.set(logits.data.subarray(r * width, (r + 1) * width), from * vocabulary);
      });
    }
    lease.done();
    for (const [r, row] of prompts.entries()) {
      const expected = await logitsOf(model, row);
      const own = found[r]!.subarray((batch.columns - row.length) * vocabulary);
      expect(largestDifference(own, expected)).toBeLessThan(1e-5 * rangeOf(expected));
    }
  });

  test("five ragged prompts in a batch get the tokens they get alone", async () => {
    const together = await model.generate(prompts, options);
    expect(new Set(together.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(3);
    for (const [row, prompt] of prompts.entries()) {
      const alone = await model.generate(prompt, options);
      expect([row, together[row]!.tokens]).toEqual([row, alone.tokens]);
    }
  });

  test("two runs at once keep their states apart", async () => {
    const [a, b] = await Promise.all([model.generate(prompts[0]!, options), model.generate(prompts[2]!, options)]);
    expect(a.tokens).toEqual((await model.generate(prompts[0]!, options)).tokens);
    expect(b.tokens).toEqual((await model.generate(prompts[2]!, options)).tokens);
  });
});
