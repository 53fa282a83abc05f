/** What the LLaMA-like families read of their configs: variants by transformers, places, and refusals by name. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { parseSite } from "../../src/spec/sites.ts";
import { type Config, Workshop } from "../support/checkpoints.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";
import { logitsOfFolder } from "../support/logits.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

function variantsOf(family: string): Readonly<Record<string, Config>> {
  return JSON.parse(readFileSync(fixture("models", family, "variants.json"), "utf8")) as Record<string, Config>;
}

async function firstPrompt(family: string): Promise<readonly number[]> {
  return idsOf((await readTensors(fixture("models", family, "reference.safetensors"))).get("input_ids")!)[0]!;
}

/** Logits of the first prompt: the first half of a reference's two rows. */
function firstRow(tensor: Tensor): Float32Array {
  const values = tensor.toFloat32();
  return values.subarray(0, values.length / 2);
}

describe("configs that the checkpoints themselves do not have", () => {
  const varied = ["gemma", "gemma2", "gemma3", "mistral", "mixtral", "olmo", "olmo2", "phi3", "qwen2"];
  const cases = varied.flatMap((family) => Object.keys(variantsOf(family)).map((name) => [family, name] as const));

  test.each(cases)("%s: %s, as transformers computes it", async (family, name) => {
    const config = variantsOf(family)[name]!;
    const expected = firstRow((await readTensors(fixture("models", family, "variants.safetensors"))).get(name)!);
    const usual = firstRow((await readTensors(fixture("models", family, "reference.safetensors"))).get("logits")!);
    const found = await logitsOfFolder(await shop.checkpoint({ from: family, config }), await firstPrompt(family));
    expect(largestDifference(found, expected)).toBeLessThanOrEqual(1e-4 * rangeOf(expected));
    const changes = name !== "the first files' gelu";
    expect(largestDifference(found, usual) > 0.005 * rangeOf(usual)).toBe(changes);
  });

  test("longrope's short factors end where the original context does", async () => {
    const config = variantsOf("phi3")["longrope"]!;
    const model = await loadModel(await shop.checkpoint({ from: "phi3", config }));
    expect(model.shape.contextLength).toBe(32);
    await model.release();
  });

  test("what older files leave out has the value that transformers gives it", async () => {
    const left: Readonly<Record<string, readonly string[]>> = {
      gemma: ["tie_word_embeddings", "hidden_act", "attention_bias", "use_bidirectional_attention"],
      gemma2: ["tie_word_embeddings", "layer_types", "attn_logit_softcapping", "final_logit_softcapping"],
      mistral: ["head_dim", "hidden_act"],
      qwen3: ["attention_bias", "layer_types", "sliding_window", "use_sliding_window"],
      mixtral: ["num_experts_per_tok", "rope_parameters", "rms_norm_eps", "sliding_window"],
      olmo: ["clip_qkv", "attention_bias"],
    };
    for (const [family, keys] of Object.entries(left)) {
      const config = Object.fromEntries(keys.map((key) => [key, undefined]));
      const ids = await firstPrompt(family);
      const found = await logitsOfFolder(await shop.checkpoint({ from: family, config }), ids);
      expect([family, found]).toEqual([family, await logitsOfFolder(fixture("models", family), ids)]);
    }
  });

  test("a null window is none, a missing one is Mistral's 4096", async () => {
    const shapeOf = async (config: Config) => {
      const model = await loadModel(await shop.checkpoint({ from: "mistral", config }));
      await model.release();
      return model.shape.windows;
    };
    expect(await shapeOf({})).toEqual([8]);
    expect(await shapeOf({ sliding_window: null })).toEqual([]);
    expect(await shapeOf({ sliding_window: undefined })).toEqual([4096]);
  });
});

describe("places", () => {
  const open = new Map<string, Model>();
  beforeAll(async () => {
    for (const family of ["gemma2", "mixtral", "olmo2", "phi3", "qwen3"]) {
      open.set(family, await loadModel(fixture("models", family)));
    }
  });
  afterAll(() => Promise.all([...open.values()].map((model) => model.release())));

  test.each([
    ["qwen3", "layer 1 query_output", 48],
    ["qwen3", "layer 1 key_output", 24],
    ["qwen3", "model.layers[1].self_attn.q_norm.output", 48],
    ["qwen3", "model.layers[3].self_attn.k_norm.output", 24],
    ["gemma2", "layer 0 attention_value_output", 48],
    ["gemma2", "model.layers[2].post_feedforward_layernorm.output", 32],
    ["gemma2", "model.layers[2].post_attention_layernorm.output", 32],
    ["olmo2", "model.layers[0].self_attn.k_norm.output", 16],
    ["phi3", "model.layers[0].self_attn.qkv_proj.output", 64],
    ["phi3", "layer 0 key_output", 16],
    ["phi3", "model.layers[0].mlp.gate_up_proj.output", 112],
    ["phi3", "model.layers[0].mlp.activation_fn.output", 56],
    ["phi3", "layer 0 mlp_activation", 56],
    ["mixtral", "model.layers[1].mlp.gate.output", 4],
    ["mixtral", "model.layers[1].mlp.gate.input", 32],
    ["mixtral", "model.layers[1].mlp.experts.output", 32],
    ["mixtral", "model.layers[1].mlp.experts.input", 32],
  ])("%s: %s is %i wide", (family, site, width) => {
    expect(open.get(family)!.sites.locate(parseSite(site)).width).toBe(width);
  });

  test("heads are cut by the size the config gives, not by the hidden size", () => {
    const { heads } = open.get("qwen3")!.sites.locate(parseSite("layer 0 head_query_output"));
    expect(heads).toEqual({ count: 4, size: 12 });
  });

  test.each([
    ["mixtral", "layer 0 mlp_activation", "mlp_output"],
    ["mixtral", "model.layers[0].mlp.experts.0.output", "model.layers.0.mlp.experts.output"],
    ["olmo2", "model.layers[0].input_layernorm.output", "model.layers.0.post_attention_layernorm.output"],
    ["phi3", "model.layers[0].self_attn.q_proj.output", "model.layers.0.self_attn.qkv_proj.output"],
  ])("%s has no %s, and says what there is", (family, site, listed) => {
    expect(() => open.get(family)!.sites.locate(parseSite(site))).toThrow(
      expect.objectContaining({ code: "site-unknown", hint: expect.stringContaining(listed) }),
    );
  });

  test("a router steered to one expert makes a model of that expert alone", async () => {
    const one = (tensors: Map<string, Tensor>) =>
      new Map(
        [...tensors].map(([name, tensor]) => [name, tensors.get(name.replace(/experts\.\d/, "experts.2")) ?? tensor]),
      );
    const ids = await firstPrompt("mixtral");
    const expected = await logitsOfFolder(await shop.checkpoint({ from: "mixtral", tensors: one }), ids);
    const representations = [0, 1, 2, 3].map((layer) => ({
      component: `model.layers[${layer}].mlp.gate.output`,
      interventionType: "AdditionIntervention",
      sourceRepresentation: Float32Array.of(0, 0, 1000, 0),
    }));
    const { original, intervened } = await new IntervenableModel({ representations }, open.get("mixtral")!).forward({
      base: [[...ids]],
    });
    expect(largestDifference(intervened.logits.toFloat32(), expected)).toBeLessThan(1e-5 * rangeOf(expected));
    expect(largestDifference(original!.logits.toFloat32(), expected)).toBeGreaterThan(0.01 * rangeOf(expected));
  });
});

describe("configs that are refused", () => {
  const sliding = Array.from({ length: 4 }, () => "sliding_attention");
  const longrope = { rope_type: "longrope", rope_theta: 1e4, original_max_position_embeddings: 32 };

  test.each<[string, string, Config]>([
    ["gemma", "use_bidirectional_attention", { use_bidirectional_attention: true }],
    ["gemma", "hidden_activation", { hidden_activation: "gelu_quick" }],
    ["gemma2", "layer_types", { layer_types: sliding.slice(1) }],
    ["gemma2", "layer_types", { layer_types: [...sliding.slice(1), "chunked_attention"] }],
    ["gemma2", "sliding_window", { sliding_window: null }],
    ["gemma3", "attn_logit_softcapping", { attn_logit_softcapping: 50 }],
    ["gemma3", "sliding_window", { sliding_window: null }],
    ["qwen2", "use_sliding_window", { layer_types: sliding, sliding_window: 8 }],
    ["qwen2", "num_key_value_heads", { num_key_value_heads: 3 }],
    ["qwen3", "rope_type", { rope_parameters: { rope_type: "yarn", rope_theta: 1e4, factor: 4 } }],
    ["qwen3", "11 of a head's 11 dimensions", { head_dim: 11 }],
    ["phi3", "0 of a head's 8 dimensions", { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.1 } }],
    ["phi3", "16 of a head's 8 dimensions", { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 2 } }],
    ["phi3", "short_factor", { rope_parameters: { ...longrope, short_factor: [1, 2] } }],
    ["phi3", "short_factor", { rope_parameters: longrope }],
  ])("%s: %s is unsupported: %j", async (from, named, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({
      code: "config-unsupported",
      message: expect.stringContaining(named),
    });
  });

  test.each<[string, string, Config]>([
    ["mistral", "sliding_window", { sliding_window: 0 }],
    ["mistral", "sliding_window", { sliding_window: -1 }],
    ["mistral", "sliding_window", { sliding_window: 2.5 }],
    ["mistral", "sliding_window", { sliding_window: "8" }],
    ["gemma2", "layer_types", { layer_types: "sliding_attention" }],
    ["gemma2", "layer_types", { layer_types: [1, 2, 3, 4] }],
    ["gemma2", "attn_logit_softcapping", { attn_logit_softcapping: 0 }],
    ["gemma2", "final_logit_softcapping", { final_logit_softcapping: -30 }],
    ["gemma2", "final_logit_softcapping", { final_logit_softcapping: "30" }],
    ["gemma2", "query_pre_attn_scalar", { query_pre_attn_scalar: 0 }],
    ["gemma3", "sliding_window_pattern", { layer_types: null, sliding_window_pattern: 0 }],
    ["gemma3", "rope_theta", { rope_parameters: { sliding_attention: { rope_theta: "far" } } }],
    ["olmo", "clip_qkv", { clip_qkv: 0 }],
    ["phi3", "short_factor", { rope_parameters: { ...longrope, short_factor: [1, 2, "3", 4] } }],
    ["phi3", "frequency or factor", { rope_parameters: { ...longrope, short_factor: [1, 2, 0, 4] } }],
    [
      "phi3",
      "frequency or factor",
      { rope_parameters: { ...longrope, short_factor: [1, 2, 3, 4], attention_factor: -1 } },
    ],
    ["mixtral", "num_experts_per_tok", { num_experts_per_tok: 5 }],
    ["mixtral", "num_experts_per_tok", { num_experts_per_tok: 0 }],
  ])("%s: %s makes no sense: %j", async (from, named, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({
      code: "checkpoint-invalid",
      message: expect.stringContaining(named),
    });
  });

  test.each<[string, Config]>([
    ["qwen2", { num_attention_heads: 2 }],
    ["qwen3", { head_dim: 128 }],
    ["phi3", { intermediate_size: 2 ** 31 - 1 }],
    ["mixtral", { num_local_experts: 2 ** 31 - 1 }],
    ["mixtral", { num_local_experts: 5 }],
    ["olmo", { hidden_size: 2 ** 31 - 1, head_dim: 8 }],
    ["gemma3", { num_hidden_layers: 10_000, layer_types: null }],
  ])("%s: numbers that the weights do not bear out: %j", async (from, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({ code: "weights-missing" });
  });

  test("Qwen 3 without its norms, and Gemma 3 with pictures", async () => {
    const tensors = (all: Map<string, Tensor>) => new Map([...all].filter(([name]) => !name.includes("q_norm")));
    await expect(loadModel(await shop.checkpoint({ from: "qwen3", tensors }))).rejects.toMatchObject({
      code: "weights-missing",
      details: { name: "model.layers.0.self_attn.q_norm.weight" },
    });
    await expect(
      loadModel(await shop.checkpoint({ from: "gemma3", config: { model_type: "gemma3" } })),
    ).rejects.toMatchObject({ code: "architecture-unknown", hint: expect.stringContaining("gemma3_text") });
  });
});
