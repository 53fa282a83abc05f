/** Perplexity: every token but the first is scored once, with the context that window and stride give it. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { type PerplexityOptions, perplexity } from "../../src/runtime/perplexity.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";

let shop: Workshop;
let model: Model;
beforeAll(async () => {
  shop = await Workshop.open();
  model = await loadModel(fixture("models", "llama"));
});
afterAll(async () => {
  await model.release();
  await shop.close();
});

const ids = Array.from({ length: 41 }, (_, i) => (i * i * 7 + 3 * i + 5) % 96);

/** Token by token from whole forward passes: which window a token belongs to, told by counting windows up to it. */
async function reference(of: Model, text: readonly number[], window: number, stride: number): Promise<number> {
  let sum = 0;
  for (let target = 1; target < text.length; target++) {
    let start = 0;
    while (target > start + window - 1) start += stride;
    const context = text.slice(start, target);
    const logits = (await logitsOf(of, context)).slice((context.length - 1) * 96);
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    sum -= Math.log(Math.exp(logits[text[target]!]!) / total);
  }
  return Math.exp(sum / (text.length - 1));
}

describe("against whole passes and a plain softmax", () => {
  test.each<[PerplexityOptions, number, number]>([
    [{}, 64, 32],
    [{ window: 10 }, 10, 5],
    [{ window: 10, stride: 9 }, 10, 9],
    [{ window: 7, stride: 1 }, 7, 1],
    [{ window: 2 }, 2, 1],
    [{ window: 41 }, 41, 20],
  ])("%j", async (options, window, stride) => {
    const found = await perplexity(model, ids, options);
    expect(found).toMatchObject({ tokens: 41, scored: 40, window, stride });
    expect(found.perplexity / (await reference(model, ids, window, stride))).toBeCloseTo(1, 5);
  });

  test.each(["gpt2", "mamba", "gemma2"])("of %s", async (family) => {
    const other = await loadModel(fixture("models", family));
    const found = await perplexity(other, ids, { window: 16, stride: 10 });
    expect(found.perplexity / (await reference(other, ids, 16, 10))).toBeCloseTo(1, 4);
    await other.release();
  });
});

test("8 bits cost next to nothing; 4 bits give another number", async () => {
  const at = async (dtype: "fp32" | "q4" | "q8") => {
    const quantised = await loadModel(fixture("models", "llama"), { dtype, cacheFolder: shop.path("cache") });
    // The model's own likeliest tokens are what it predicts best.
    const { tokens } = await model.generate([1, 17], { maxNewTokens: 40, eosTokenIds: [] });
    const found = await perplexity(quantised, [1, 17, ...tokens]);
    await quantised.release();
    return found.perplexity;
  };
  const [fp32, q8, q4] = [await at("fp32"), await at("q8"), await at("q4")];
  expect(Math.abs(q8 / fp32 - 1)).toBeLessThan(0.03);
  expect(Math.abs(q4 / fp32 - 1)).toBeGreaterThan(0.001);
});

test("progress counts the tokens; an abort ends it", async () => {
  const done: number[] = [];
  await perplexity(model, ids, { window: 10, onProgress: (event) => done.push(event.done) });
  expect(done).toEqual([9, 14, 19, 24, 29, 34, 39, 40]);
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  await expect(perplexity(model, ids, { signal: controller.signal })).rejects.toMatchObject({ code: "aborted" });
});

describe("refuses", () => {
  test.each<[string, readonly number[], object, string]>([
    ["nothing", [], {}, "prompt-invalid"],
    ["one token", [5], {}, "prompt-invalid"],
    ["a token that is none", [5, 96], {}, "prompt-invalid"],
    ["a window of one", ids, { window: 1 }, "usage"],
    ["half a token", ids, { window: 7.5 }, "usage"],
    ["a stride that leaves tokens out", ids, { window: 8, stride: 8 }, "usage"],
    ["no stride", ids, { window: 8, stride: 0 }, "usage"],
    ["a window beyond the context", ids, { window: 100_000 }, "context-length"],
    ["an option that is none", ids, { windw: 8 }, "usage"],
  ])("%s", async (_, text, options, code) => {
    await expect(perplexity(model, text, options)).rejects.toMatchObject({ code });
  });

  test("an encoder", async () => {
    const encoder = await loadModel(fixture("models", "esm"));
    await expect(perplexity(encoder, ids)).rejects.toMatchObject({ code: "generation-unsupported" });
    await encoder.release();
  });
});
