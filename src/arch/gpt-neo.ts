/** GPT-Neo: learned positions, attention without a scale, layers that see everything in turn with layers that see a window. */
import type { Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { type Family, MAX_CONTEXT, MAX_LAYERS, nothingOnDemand } from "./family.ts";
import { compileGpt, type GptAttention, type GptConfig } from "./gpt-layout.ts";
import { plainMlp } from "./plain-mlp.ts";
import { project, selfAttention } from "./self-attention.ts";

interface GptNeoConfig extends GptConfig {
  /** Per layer, how many tokens a query sees, if not all. */
  readonly windowOf: readonly (number | undefined)[];
}

function readGptNeo(config: ConfigReader): GptNeoConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_heads");
  const layers = config.int("num_layers", undefined, MAX_LAYERS);
  if (hiddenSize % heads !== 0) throw config.unsupported("num_heads", `a divisor of ${hiddenSize}`);
  const windowOf = readWindows(config, layers);
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: config.int("max_position_embeddings", 2048, MAX_CONTEXT),
    cache: Array.from({ length: layers }, () => ({ key: hiddenSize, value: hiddenSize })),
    windows: [...new Set(windowOf.filter((window) => window !== undefined))],
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    mlp: plainMlp({
      names: { up: "c_fc", act: "act", down: "c_proj" },
      inner: config.int("intermediate_size", 4 * hiddenSize),
      activation: activationOf(config, "activation_function", "gelu_new"),
    }),
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    windowOf,
    tied: config.boolean("tie_word_embeddings", true),
  };
}

/** `attention_layers` names each layer's kind; where the config leaves all to defaults, global and local take turns. */
function readWindows(config: ConfigReader, layers: number): readonly (number | undefined)[] {
  if (config.has("attention_types") && !config.has("attention_layers")) {
    throw config.unsupported("attention_types", "the same written out as attention_layers");
  }
  const kinds =
    config.strings("attention_layers") ??
    Array.from({ length: layers }, (_, layer) => (layer % 2 === 0 ? "global" : "local"));
  if (kinds.length !== layers || !kinds.every((kind) => kind === "global" || kind === "local")) {
    throw config.unsupported("attention_layers", `"global" or "local" for each of ${layers} layers`);
  }
  const window = config.int("window_size", 256);
  return kinds.map((kind) => (kind === "local" ? window : undefined));
}

function attentionOf(c: GptNeoConfig): GptAttention {
  return (e, layer, path, x, inputs) => {
    const own = `${path}.attention`;
    const paths = { query: `${own}.q_proj`, key: `${own}.k_proj`, value: `${own}.v_proj` };
    const spec = {
      path,
      heads: c,
      project: (input: Value) => project(e, layer, c, paths, false, input),
      scale: 1,
      window: c.windowOf[layer],
      out: { path: `${own}.out_proj`, bias: true },
    };
    return selfAttention(e, layer, spec, inputs, x);
  };
}

export const gptNeo: Family = {
  name: "gpt_neo",
  title: "GPT-Neo",
  shape: readGptNeo,
  compile(config, weights, options = nothingOnDemand) {
    const c = readGptNeo(config);
    return compileGpt("gpt_neo", c, attentionOf(c), weights, options);
  },
};
