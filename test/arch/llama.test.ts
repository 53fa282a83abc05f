/** Compiled LLaMAs against a plain-JS one: the fixtures, then what the fixtures lack (biases, rope types, tied heads, sizes). */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { type Changes, Workshop } from "../support/checkpoints.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";
import { flat, logitsOfFolder } from "../support/logits.ts";
import { plainForward, readPlainLlama } from "../support/plain-llama.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const ids = [1, 17, 88, 42, 5, 63, 9, 30, 71, 12, 12, 95, 0, 44];

/** The compiled model's logits differ from the plain one's by at most 1e-5 of their range, and both from `unlike`. */
async function expectPlain(folder: string, unlike?: Float32Array): Promise<Float32Array> {
  const plain = flat(plainForward(await readPlainLlama(folder), ids));
  const compiled = await logitsOfFolder(folder, ids);
  expect(largestDifference(compiled, plain)).toBeLessThan(1e-5 * rangeOf(plain));
  if (unlike !== undefined) expect(largestDifference(compiled, unlike)).toBeGreaterThan(0.01 * rangeOf(plain));
  return plain;
}

describe("the plain LLaMA", () => {
  test.each(["llama", "llama_mha", "llama3_rope"])(
    "agrees with transformers on %s, components included",
    async (name) => {
      const folder = fixture("models", name);
      const model = await readPlainLlama(folder);
      const reference = await readTensors(`${folder}/reference.safetensors`);
      const rows = idsOf(reference.get("input_ids")!);
      const seen = new Map<string, number[]>();
      const logits = rows.flatMap((row) =>
        plainForward(model, row, (layer, component, values) => {
          const key = `layers.${layer}.${component}`;
          seen.set(key, [...(seen.get(key) ?? []), ...values.flatMap((value) => [...value])]);
        }),
      );
      const expected = reference.get("logits")!.toFloat32();
      expect(largestDifference(flat(logits), expected)).toBeLessThan(1e-5 * rangeOf(expected));
      expect(seen.size).toBe(model.config.num_hidden_layers * 11);
      for (const [key, values] of seen) {
        const own = reference.get(key)!.toFloat32();
        expect([key, largestDifference(Float32Array.from(values), own) < 1e-5 * rangeOf(own)]).toEqual([key, true]);
      }
    },
  );
});

/** The same tensors plus random biases for the modules named. */
function withBiases(modules: readonly string[]): NonNullable<Changes["tensors"]> {
  const random = seededRandom(3);
  return (tensors) => {
    const out = new Map(tensors);
    for (const [name, { shape }] of tensors) {
      const module = /\.(\w+_proj)\.weight$/.exec(name)?.[1];
      if (module === undefined || !modules.includes(module)) continue;
      const values = Float32Array.from({ length: shape[0]! }, () => random.normal() * 0.5);
      out.set(name.replace(".weight", ".bias"), Tensor.float32([shape[0]!], values));
    }
    return out;
  };
}

describe("variants", () => {
  let usual: Float32Array;
  beforeAll(async () => {
    usual = await expectPlain(fixture("models", "llama"));
  });

  test("attention_bias adds to queries, keys, values and the output projection", async () => {
    const tensors = withBiases(["q_proj", "k_proj", "v_proj", "o_proj"]);
    await expectPlain(await shop.checkpoint({ config: { attention_bias: true }, tensors }), usual);
  });

  test("mlp_bias adds to gate, up and down", async () => {
    const tensors = withBiases(["gate_proj", "up_proj", "down_proj"]);
    await expectPlain(await shop.checkpoint({ config: { mlp_bias: true }, tensors }), usual);
  });

  test("a bias that the config promises and the checkpoint lacks is missing", async () => {
    const folder = await shop.checkpoint({ config: { mlp_bias: true } });
    await expect(logitsOfFolder(folder, ids)).rejects.toMatchObject({
      code: "weights-missing",
      details: { name: "model.layers.0.mlp.gate_proj.bias" },
    });
  });

  test.each([
    ["linear", { rope_type: "linear", rope_theta: 10000, factor: 4 }],
    ["another theta", { rope_type: "default", rope_theta: 500 }],
    [
      "llama3",
      {
        rope_type: "llama3",
        rope_theta: 500,
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 16,
      },
    ],
  ])("rope: %s", async (_, rope) => {
    await expectPlain(await shop.checkpoint({ config: { rope_parameters: rope } }), usual);
  });

  test("transformers 4 writes the same rope as rope_theta and rope_scaling, its type as type or rope_type", async () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
    const rope = { ...scaling, rope_type: "llama3", rope_theta: 500 };
    const modern = await logitsOfFolder(await shop.checkpoint({ config: { rope_parameters: rope } }), ids);
    for (const key of ["rope_type", "type"]) {
      const config = { rope_parameters: undefined, rope_theta: 500, rope_scaling: { ...scaling, [key]: "llama3" } };
      expect(await logitsOfFolder(await shop.checkpoint({ config }), ids)).toEqual(modern);
    }
    const plain = { rope_parameters: undefined, rope_theta: 10000, rope_scaling: null };
    expect(await logitsOfFolder(await shop.checkpoint({ config: plain }), ids)).toEqual(
      await logitsOfFolder(fixture("models", "llama"), ids),
    );
  });

  test("a tied head is the embedding, whether or not the checkpoint has one of its own", async () => {
    const config = { tie_word_embeddings: true };
    const tied = await expectPlain(await shop.checkpoint({ config }), usual);
    const without = (tensors: Map<string, Tensor>) =>
      new Map([...tensors].filter(([name]) => name !== "lm_head.weight"));
    expect(await expectPlain(await shop.checkpoint({ config, tensors: without }))).toEqual(tied);
  });

  test("another epsilon, and the defaults for what older configs leave out", async () => {
    await expectPlain(await shop.checkpoint({ config: { rms_norm_eps: 0.3 } }), usual);
    const config = {
      rms_norm_eps: undefined,
      mlp_bias: undefined,
      attention_bias: undefined,
      head_dim: undefined,
      hidden_act: undefined,
    };
    expect(await logitsOfFolder(await shop.checkpoint({ config }), ids)).toEqual(
      await logitsOfFolder(fixture("models", "llama"), ids),
    );
  });

  test("heads whose sizes do not add up to the hidden size", async () => {
    const random = seededRandom(11);
    const sizes: Readonly<Record<string, readonly number[]>> = {
      q_proj: [24, 32],
      k_proj: [6, 32],
      v_proj: [6, 32],
      o_proj: [32, 24],
    };
    const folder = await shop.checkpoint({
      config: { head_dim: 6, num_key_value_heads: 1 },
      tensors: (tensors) =>
        new Map(
          [...tensors].map(([name, tensor]) => {
            const shape = sizes[/\.(\w_proj)\.weight$/.exec(name)?.[1] ?? ""];
            if (shape === undefined) return [name, tensor];
            const values = Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal() * 0.3);
            return [name, Tensor.float32(shape, values)];
          }),
        ),
    });
    await expectPlain(folder, usual);
  });

  test("a checkpoint saved from the bare model, its names without model., is the same model", async () => {
    const bare = (tensors: Map<string, Tensor>) =>
      new Map([...tensors].map(([name, tensor]) => [name.replace(/^model\./, ""), tensor]));
    expect(await logitsOfFolder(await shop.checkpoint({ tensors: bare }), ids)).toEqual(
      await logitsOfFolder(fixture("models", "llama"), ids),
    );
  });
});
