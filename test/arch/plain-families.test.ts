/** GPT-NeoX, GPT-Neo, OPT, Phi, ESM and Mamba: configs that their checkpoints do not have, places, and refusals by name. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { parseSite } from "../../src/spec/sites.ts";
import { batchLogits, share } from "../support/against-reference.ts";
import { type Changes, type Config, Workshop } from "../support/checkpoints.ts";
import { fixture, readTensors } from "../support/fixtures.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const families = ["esm", "gpt_neo", "gpt_neox", "mamba", "opt", "phi"];

function variantsOf(family: string): Readonly<Record<string, Config>> {
  return JSON.parse(readFileSync(fixture("models", family, "variants.json"), "utf8")) as Record<string, Config>;
}

/** Logits of a changed checkpoint on the reference's prompts. */
async function logitsOf(changes: Changes & { readonly from: string }): Promise<Float32Array> {
  const ids = (await readTensors(fixture("models", changes.from, "reference.safetensors"))).get("input_ids")!;
  const model = await loadModel(await shop.checkpoint(changes));
  try {
    return await batchLogits(model, ids);
  } finally {
    await model.release();
  }
}

async function usual(family: string): Promise<Tensor> {
  return (await readTensors(fixture("models", family, "reference.safetensors"))).get("logits")!;
}

describe("configs that the checkpoints themselves do not have", () => {
  const cases = ["gpt_neo", "gpt_neox", "mamba", "opt", "phi"].flatMap((family) =>
    Object.keys(variantsOf(family)).map((name) => [family, name] as const),
  );

  test.each(cases)("%s: %s, as transformers computes it", async (from, name) => {
    const expected = (await readTensors(fixture("models", from, "variants.safetensors"))).get(name)!;
    const found = await logitsOf({ from, config: variantsOf(from)[name]! });
    expect(share(found, expected)).toBeLessThanOrEqual(1e-4);
    expect(share(found, await usual(from))).toBeGreaterThan(0.005);
  });

  test("OPT with embeddings narrower than the model, and LayerNorms after (OPT-350M)", async () => {
    const folder = fixture("models", "opt_projected");
    const expected = await readTensors(`${folder}/expected.safetensors`);
    const model = await loadModel(folder);
    const found = await batchLogits(model, expected.get("input_ids")!);
    expect(share(found, expected.get("logits")!)).toBeLessThanOrEqual(1e-4);
    expect(model.sites.locate(parseSite("model.decoder.project_in.input")).width).toBe(16);
    expect(model.sites.locate(parseSite("model.decoder.project_out.output")).width).toBe(16);
    await model.release();
  });

  const left: Readonly<Record<string, readonly string[]>> = {
    esm: ["emb_layer_norm_before", "token_dropout", "mask_token_id", "rope_theta", "tie_word_embeddings", "is_decoder"],
    gpt_neo: ["attention_types", "attention_layers", "activation_function", "tie_word_embeddings"],
    gpt_neox: ["rope_parameters", "attention_bias", "hidden_act", "use_parallel_residual", "tie_word_embeddings"],
    mamba: ["intermediate_size", "use_bias", "use_conv_bias", "hidden_act", "tie_word_embeddings", "conv_kernel"],
    opt: ["word_embed_proj_dim", "do_layer_norm_before", "enable_bias", "activation_function", "tie_word_embeddings"],
    phi: ["rope_parameters", "partial_rotary_factor", "num_key_value_heads", "qk_layernorm", "hidden_act"],
  };

  test.each(Object.entries(left))("%s: what older files leave out has transformers' default", async (from, keys) => {
    const found = await logitsOf({ from, config: Object.fromEntries(keys.map((key) => [key, undefined])) });
    expect(share(found, await usual(from))).toBeLessThanOrEqual(1e-4);
  });
});

describe("names in the checkpoint", () => {
  test.each([
    ["esm", /^esm\./, ""],
    ["gpt_neo", /^transformer\./, ""],
    ["gpt_neox", /^gpt_neox\./, ""],
    ["mamba", /^backbone\./, ""],
    ["opt", /^model\.decoder\./, "decoder."],
    ["phi", /^model\./, ""],
  ])("%s without the prefix of the model with a head", async (from, prefix, other) => {
    const tensors = (all: Map<string, Tensor>) =>
      new Map([...all].map(([name, tensor]) => [name.replace(prefix, other), tensor]));
    expect(await logitsOf({ from, tensors })).toEqual(await logitsOf({ from }));
  });

  test("ESM's LayerNorms are called weight and bias in the published files, and frequencies come with every layer", async () => {
    const published = (name: string) =>
      name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias").replace("*", "0");
    const renamed = (all: Map<string, Tensor>) => new Map([...all].map(([name, tensor]) => [published(name), tensor]));
    const expected = await usual("esm");
    expect(share(await logitsOf({ from: "esm", tensors: renamed }), expected)).toBeLessThanOrEqual(1e-4);
    const halved = (all: Map<string, Tensor>) =>
      new Map(
        [...renamed(all)].map(([name, tensor]) => [
          name,
          name.endsWith("inv_freq")
            ? Tensor.float32(
                [4],
                tensor.toFloat32().map((f) => f / 2),
              )
            : tensor,
        ]),
      );
    expect(share(await logitsOf({ from: "esm", tensors: halved }), expected)).toBeGreaterThan(0.001);
    const without = (all: Map<string, Tensor>) =>
      new Map([...renamed(all)].filter(([name]) => !name.endsWith("inv_freq")));
    expect(share(await logitsOf({ from: "esm", tensors: without }), expected)).toBeLessThanOrEqual(1e-4);
  });

  test.each([
    ["gpt_neo", "lm_head.weight", "transformer.wte.weight"],
    ["mamba", "lm_head.weight", "backbone.embeddings.weight"],
    ["opt", "lm_head.weight", "model.decoder.embed_tokens.weight"],
    ["esm", "lm_head.decoder.weight", "esm.embeddings.word_embeddings.weight"],
  ])("%s: an untied head is %s", async (from, head, words) => {
    const config = { tie_word_embeddings: false };
    const tensors = (all: Map<string, Tensor>) => new Map(all).set(head, all.get(words)!);
    expect(await logitsOf({ from, config, tensors })).toEqual(await logitsOf({ from }));
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({
      code: "weights-missing",
      details: { name: head },
    });
  });
});

const blocks = ["block_input", "block_output"];
const attention = ["attention_input", "attention_output", "attention_value_output", "head_attention_value_output"];
const projections = ["query", "key", "value"].flatMap((side) => [`${side}_output`, `head_${side}_output`]);
const mlp = ["mlp_input", "mlp_activation", "mlp_output"];
const separate = [...blocks, ...attention, "attention_weight", ...projections, ...mlp];

describe("places", () => {
  test.each<[string, readonly string[]]>([
    ["esm", separate],
    ["gpt_neo", separate],
    ["gpt_neox", [...blocks, ...attention, "attention_weight", ...mlp]],
    ["mamba", [...blocks, "mixer_input", "mixer_output"]],
    ["opt", separate],
    ["phi", separate],
  ])("%s has these components, as wide as in PyTorch, and no other", async (family, components) => {
    const model = await loadModel(fixture("models", family));
    const places = new Map(model.sites.components());
    expect([...places.keys()].sort()).toEqual([...components].sort());
    for (const [name, { width, heads }] of places) {
      const wide = name === "mlp_activation" ? 56 : name === "attention_weight" ? 0 : 32;
      expect([name, width]).toEqual([name, wide]);
      expect(heads).toEqual(name.startsWith("head_") ? { count: 4, size: 8 } : undefined);
    }
    await model.release();
  });

  test.each([
    ["gpt_neox", "gpt_neox.layers[1].attention.query_key_value.output", 96],
    ["gpt_neox", "gpt_neox.layers[3].attention.dense.input", 32],
    ["gpt_neox", "gpt_neox.layers[0].mlp.dense_4h_to_h.input", 56],
    ["gpt_neox", "gpt_neox.final_layer_norm.output", 32],
    ["gpt_neo", "transformer.h[2].attn.attention.q_proj.output", 32],
    ["gpt_neo", "transformer.h[2].attn.output", 32],
    ["gpt_neo", "transformer.h[0].mlp.act.output", 56],
    ["opt", "model.decoder.layers[1].fc1.output", 56],
    ["opt", "model.decoder.layers[1].activation_fn.output", 56],
    ["opt", "model.decoder.layers[0].self_attn.out_proj.input", 32],
    ["phi", "model.layers[3].self_attn.dense.output", 32],
    ["phi", "model.layers[3].mlp.fc2.input", 56],
    ["esm", "esm.encoder.layer[1].attention.self.key.output", 32],
    ["esm", "esm.encoder.layer[1].intermediate.output", 56],
    ["esm", "esm.encoder.layer[1].output.output", 32],
    ["esm", "lm_head.layer_norm.output", 32],
    ["mamba", "backbone.layers[2].mixer.in_proj.output", 128],
    ["mamba", "backbone.layers[2].mixer.x_proj.output", 20],
    ["mamba", "backbone.layers[2].mixer.out_proj.input", 64],
    ["mamba", "backbone.layers[2].norm.output", 32],
  ])("%s: %s is %i wide", async (family, site, width) => {
    const model = await loadModel(fixture("models", family));
    expect(model.sites.locate(parseSite(site)).width).toBe(width);
    await model.release();
  });

  test.each([
    ["gpt_neox", "layer 0 query_output", "attention_value_output"],
    ["mamba", "layer 0 attention_output", "mixer_output"],
    ["mamba", "layer 0 mlp_output", "mixer_output"],
    ["opt", "layer 0 mixer_input", "mlp_input"],
    ["opt", "model.decoder.layers[0].mlp.output", "model.decoder.layers.0.fc2.output"],
    ["esm", "esm.encoder.layer[0].mlp.output", "esm.encoder.layer.0.intermediate.output"],
  ])("%s has no %s, and says what there is", async (family, site, listed) => {
    const model = await loadModel(fixture("models", family));
    expect(() => model.sites.locate(parseSite(site))).toThrow(
      expect.objectContaining({ code: "site-unknown", hint: expect.stringContaining(listed) }),
    );
    await model.release();
  });
});

describe("configs that are refused", () => {
  test.each<[string, string, Config]>([
    ["esm", "is_decoder", { is_decoder: true }],
    ["esm", "add_cross_attention", { add_cross_attention: true }],
    ["esm", "is_folding_model", { is_folding_model: true }],
    ["esm", "position_embedding_type", { position_embedding_type: "relative_key" }],
    ["esm", "num_attention_heads", { num_attention_heads: 5 }],
    ["esm", "max_position_embeddings", { position_embedding_type: "absolute", max_position_embeddings: 2 }],
    ["gpt_neo", "attention_layers", { attention_layers: ["global", "local", "global"] }],
    ["gpt_neo", "attention_layers", { attention_layers: ["global", "local", "global", "sparse"] }],
    ["gpt_neo", "attention_types", { attention_layers: undefined }],
    ["gpt_neo", "activation_function", { activation_function: "mish" }],
    ["gpt_neo", "num_heads", { num_heads: 5 }],
    ["gpt_neox", "hidden_act", { hidden_act: "mish" }],
    ["gpt_neox", "rope_type", { rope_parameters: { rope_type: "yarn", rope_theta: 1e4, partial_rotary_factor: 0.5 } }],
    ["gpt_neox", "0 of a head's 8 dimensions", { rope_parameters: null, rotary_pct: 0 }],
    ["gpt_neox", "num_attention_heads", { num_attention_heads: 3 }],
    ["mamba", "conv_kernel", { conv_kernel: 1 }],
    ["mamba", "hidden_act", { hidden_act: "mish" }],
    ["opt", "layer_norm_elementwise_affine", { layer_norm_elementwise_affine: false }],
    ["opt", "activation_function", { activation_function: "mish" }],
    ["opt", "num_attention_heads", { num_attention_heads: 5 }],
    ["phi", "qk_layernorm", { qk_layernorm: true }],
    ["phi", "num_key_value_heads", { num_key_value_heads: 3 }],
    ["phi", "hidden_act", { hidden_act: "mish" }],
  ])("%s: %s is unsupported: %j", async (from, named, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({
      code: "config-unsupported",
      message: expect.stringContaining(named),
    });
  });

  test.each<[string, string, Config]>([
    ["esm", "hidden_size", { hidden_size: "wide" }],
    ["esm", "mask_token_id", { mask_token_id: "mask" }],
    ["gpt_neo", "attention_layers", { attention_layers: "local" }],
    ["gpt_neo", "window_size", { window_size: 0 }],
    ["gpt_neox", "rotary_pct", { rope_parameters: null, rotary_pct: "most" }],
    ["mamba", "time_step_rank", { time_step_rank: "auto" }],
    ["mamba", "state_size", { state_size: -1 }],
    ["mamba", "num_hidden_layers", { num_hidden_layers: 2 ** 31 - 1 }],
    ["opt", "do_layer_norm_before", { do_layer_norm_before: "yes" }],
    ["phi", "layer_norm_eps", { layer_norm_eps: "small" }],
  ])("%s: %s makes no sense: %j", async (from, named, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({
      code: "checkpoint-invalid",
      message: expect.stringContaining(named),
    });
  });

  test.each<[string, Config]>([
    ["esm", { intermediate_size: 2 ** 31 - 1 }],
    ["esm", { position_embedding_type: "absolute" }],
    ["gpt_neo", { max_position_embeddings: 65 }],
    ["gpt_neox", { intermediate_size: 57 }],
    ["mamba", { state_size: 2 ** 31 - 1 }],
    ["mamba", { intermediate_size: 2 ** 31 - 1 }],
    ["mamba", { conv_kernel: 5 }],
    ["opt", { max_position_embeddings: 65 }],
    ["opt", { word_embed_proj_dim: 16 }],
    ["phi", { head_dim: 16 }],
    ...families.map((family): [string, Config] => [family, { hidden_size: 2 ** 31 - 4, head_dim: 8 }]),
  ])("%s: numbers that the weights do not bear out: %j", async (from, config) => {
    await expect(loadModel(await shop.checkpoint({ from, config }))).rejects.toMatchObject({ code: "weights-missing" });
  });
});
