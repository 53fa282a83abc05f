/** GPT-2: learned positions, LayerNorm, one packed projection for queries, keys and values, GELU MLP. */
import type { Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { type Family, MAX_LAYERS, nothingOnDemand } from "./family.ts";
import { compileGpt, type GptAttention, type GptConfig } from "./gpt-layout.ts";
import { plainMlp } from "./plain-mlp.ts";
import { selfAttention, unpacked } from "./self-attention.ts";

interface Gpt2Config extends GptConfig {
  readonly scaled: boolean;
  readonly scaledByLayer: boolean;
}

function readGpt2(config: ConfigReader): Gpt2Config {
  const hiddenSize = config.int("n_embd");
  const heads = config.int("n_head");
  const layers = config.int("n_layer", undefined, MAX_LAYERS);
  if (hiddenSize % heads !== 0) throw config.unsupported("n_head", `a divisor of n_embd ${hiddenSize}`);
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: config.int("n_positions"),
    cache: Array.from({ length: layers }, () => ({ key: hiddenSize, value: hiddenSize })),
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    mlp: plainMlp({
      names: { up: "c_fc", act: "act", down: "c_proj" },
      inner: config.int("n_inner", 4 * hiddenSize),
      activation: activationOf(config, "activation_function", "gelu_new"),
      inFirst: true,
    }),
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    scaled: config.boolean("scale_attn_weights", true),
    scaledByLayer: config.boolean("scale_attn_by_inverse_layer_idx", false),
    tied: config.boolean("tie_word_embeddings", true),
  };
}

function attentionOf(c: Gpt2Config): GptAttention {
  return (e, layer, path, x, inputs) => {
    const spec = {
      path,
      heads: c,
      project: (input: Value) => {
        const options = { bias: true, inFirst: true };
        return unpacked(e, layer, c, path, e.dense(`${path}.c_attn`, input, c.hiddenSize, 3 * c.hiddenSize, options));
      },
      scale: (c.scaled ? c.headSize ** -0.5 : 1) / (c.scaledByLayer ? layer + 1 : 1),
      out: { path: `${path}.c_proj`, bias: true, inFirst: true },
    };
    const output = selfAttention(e, layer, spec, inputs, x);
    e.module(`${path}.resid_dropout`, "output", output, c.hiddenSize);
    return output;
  };
}

export const gpt2: Family = {
  name: "gpt2",
  title: "GPT-2 and models of that layout",
  shape: readGpt2,
  compile(config, weights, options = nothingOnDemand) {
    const c = readGpt2(config);
    return compileGpt("gpt2", c, attentionOf(c), weights, options);
  },
};
