/** GPT-2's config flags, each against the same model with the flag worked into its weights. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { logitsOfFolder } from "../support/logits.ts";

const ids = [1, 17, 88, 42, 5, 63, 9];
const width = 32;
const headSize = 8;
let shop: Workshop;
let usual: Float32Array;
beforeAll(async () => {
  shop = await Workshop.open();
  usual = await logitsOfFolder(fixture("models", "gpt2"), ids);
});
afterAll(() => shop.close());

function expectSame(found: Float32Array, expected: Float32Array): void {
  expect(largestDifference(found, expected)).toBeLessThan(1e-5 * rangeOf(expected));
}

/** Queries multiplied by a factor per layer: what the attention's scale would have done. */
function queriesTimes(factor: (layer: number) => number) {
  return (tensors: Map<string, Tensor>) =>
    new Map(
      [...tensors].map(([name, tensor]): [string, Tensor] => {
        const layer = /h\.(\d+)\.attn\.c_attn\.(weight|bias)$/.exec(name)?.[1];
        if (layer === undefined) return [name, tensor];
        const values = tensor
          .toFloat32()
          .map((value, i) => (i % (3 * width) < width ? value * factor(Number(layer)) : value));
        return [name, Tensor.float32(tensor.shape, values)];
      }),
    );
}

describe("GPT-2", () => {
  test("scale_attn_weights false leaves out the division by the root of the head's size", async () => {
    const unscaled = { scale_attn_weights: false };
    const compensated = await shop.checkpoint({
      from: "gpt2",
      config: unscaled,
      tensors: queriesTimes(() => headSize ** -0.5),
    });
    expectSame(await logitsOfFolder(compensated, ids), usual);
    const plain = await logitsOfFolder(await shop.checkpoint({ from: "gpt2", config: unscaled }), ids);
    expect(largestDifference(plain, usual)).toBeGreaterThan(0.01 * rangeOf(usual));
  });

  test("scale_attn_by_inverse_layer_idx divides by the layer's number from 1", async () => {
    const config = { scale_attn_by_inverse_layer_idx: true };
    const compensated = await shop.checkpoint({ from: "gpt2", config, tensors: queriesTimes((layer) => layer + 1) });
    expectSame(await logitsOfFolder(compensated, ids), usual);
  });

  test("the published files lack transformer. before their names", async () => {
    const bare = (tensors: Map<string, Tensor>) =>
      new Map([...tensors].map(([name, tensor]) => [name.replace(/^transformer\./, ""), tensor]));
    expect(await logitsOfFolder(await shop.checkpoint({ from: "gpt2", tensors: bare }), ids)).toEqual(usual);
  });

  test("an untied head is used, and missed when it is absent", async () => {
    const config = { tie_word_embeddings: false };
    const doubled = (tensors: Map<string, Tensor>) => {
      const words = tensors.get("transformer.wte.weight")!;
      return tensors.set(
        "lm_head.weight",
        Tensor.float32(
          words.shape,
          words.toFloat32().map((value) => 2 * value),
        ),
      );
    };
    const found = await logitsOfFolder(await shop.checkpoint({ from: "gpt2", config, tensors: doubled }), ids);
    expectSame(
      found,
      usual.map((value) => 2 * value),
    );
    await expect(loadModel(await shop.checkpoint({ from: "gpt2", config }))).rejects.toMatchObject({
      code: "weights-missing",
      details: { name: "lm_head.weight" },
    });
  });

  test.each([
    ["heads that do not divide the width", { n_head: 5 }, "config-unsupported"],
    ["more layers than weights", { n_layer: 6 }, "weights-missing"],
    ["2^31 - 1 layers", { n_layer: 2 ** 31 - 1 }, "checkpoint-invalid"],
    ["more positions than the table has", { n_positions: 65 }, "weights-missing"],
    ["another inner width", { n_inner: 64 }, "weights-missing"],
  ])("%s are refused", async (_, config, code) => {
    await expect(loadModel(await shop.checkpoint({ from: "gpt2", config }))).rejects.toMatchObject({ code });
  });
});
