/** Reads the config fields that families of the LLaMA layout have in common, and makes a family of a reader. */
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { type Family, MAX_CONTEXT, MAX_HEAD_SIZE, MAX_LAYERS, nothingOnDemand } from "./family.ts";
import { gatedMlp } from "./gated-mlp.ts";
import { compileLlama, type LlamaLayout } from "./llama-layout.ts";
import { rmsNorm } from "./norms.ts";
import { separate } from "./projections.ts";
import { type Rope, ropeOf } from "./rotary.ts";
import { everyLayer, type Windows } from "./windows.ts";

/** What a family's configs leave out when it is so (the defaults of transformers' config class). */
export interface LlamaDefaults {
  readonly headSize?: number;
  readonly contextLength: number;
  readonly epsilon?: number;
  readonly tied?: boolean;
  readonly theta?: number;
}

/** LLaMA itself without any bias: families spread it and say what differs. Throws `checkpoint-invalid`, `config-unsupported`. */
export function readLlamaLayout(config: ConfigReader, defaults: LlamaDefaults): LlamaLayout {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const kvHeads = config.int("num_key_value_heads", heads);
  const headSize = config.int("head_dim", defaults.headSize ?? Math.floor(hiddenSize / heads), MAX_HEAD_SIZE);
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (heads % kvHeads !== 0) throw config.unsupported("num_key_value_heads", `a divisor of ${heads}`);
  const width = kvHeads * headSize;
  const rope = ropeOf(config, headSize, { theta: defaults.theta ?? 10000 });
  const context = Math.min(MAX_CONTEXT, config.int("max_position_embeddings", defaults.contextLength));
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: Math.min(context, rope.contextLength ?? context),
    cache: Array.from({ length: layers }, () => ({ key: width, value: width })),
    ...layerKinds(everyLayer(layers, undefined), () => rope),
    heads,
    kvHeads,
    headSize,
    norm: rmsNorm(config.number("rms_norm_eps", defaults.epsilon ?? 1e-6)),
    norms: { attention: { before: "input_layernorm" }, mlp: { before: "post_attention_layernorm" } },
    projections: separate(false),
    scale: headSize ** -0.5,
    outputBias: false,
    mlp: gatedMlp({ inner: config.int("intermediate_size"), activation: activationOf(config, "hidden_act", "silu") }),
    tied: config.boolean("tie_word_embeddings", defaults.tied ?? false),
  };
}

/** Layers by their windows, with the rope that goes with each window. */
export function layerKinds(windows: Windows, rope: (window: number | undefined) => Rope) {
  return {
    kinds: windows.map((window) => ({ window, rope: rope(window) })),
    windows: [...new Set(windows)].filter((window) => window !== undefined),
  };
}

/** The same layout with sliding windows in some layers. */
export function withWindows(layout: LlamaLayout, windows: Windows): LlamaLayout {
  return { ...layout, ...layerKinds(windows, () => layout.kinds[0]!.rope) };
}

/** The family whose configs `read` understands. `name` is config.json's model_type. */
export function llamaFamily(name: string, title: string, read: (config: ConfigReader) => LlamaLayout): Family {
  return {
    name,
    title,
    shape: read,
    compile: (config, weights, options = nothingOnDemand) => compileLlama(name, read(config), weights, options),
  };
}
