/** GPT-Neo: learned positions, attention without a scale, layers that see everything in turn with layers that see a window. */
import { Graph, type Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { type DecoderInputs, decoderInputs, decoderLogits } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import {
  type CompiledModel,
  type CompileOptions,
  type Family,
  MAX_CONTEXT,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import { framed } from "./framed.ts";
import type { Mlp } from "./gated-mlp.ts";
import { plainMlp } from "./plain-mlp.ts";
import { type Heads, project, selfAttention } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

interface GptNeoConfig extends ModelShape, Heads {
  readonly mlp: Mlp;
  readonly epsilon: number;
  /** Per layer, how many tokens a query sees, if not all. */
  readonly windowOf: readonly (number | undefined)[];
  readonly tied: boolean;
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

class GptNeoCompiler {
  readonly e: Emitter;
  readonly c: GptNeoConfig;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.c = readGptNeo(config);
    const prefix = weights.prefixOf(["transformer.", ""], "wte.weight");
    const stored = (path: string) => path.replace(/^transformer\./, prefix);
    this.e = new Emitter(new Graph("gpt_neo"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e, c.windows);
    const words = e.weight(e.stored("transformer.wte.weight"), [c.vocabularySize, c.hiddenSize]);
    const places = e.weight(e.stored("transformer.wpe.weight"), [c.contextLength, c.hiddenSize]);
    const positions = e.op("Reshape", "position.rows", [inputs.positions, e.int64([-1])], {}, "int64");
    const token = e.gatherRows("wte.output", words, inputs.ids);
    let hidden = e.add("embedding", token, e.gatherRows("wpe.output", places, positions));
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs);
    hidden = this.norm("transformer.ln_f", hidden);
    decoderLogits(e, hidden, c.tied ? words : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const path = `transformer.h.${layer}`;
    const mlp = { layer, path: `${path}.mlp`, width: c.hiddenSize };
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const attention = this.attention(layer, `${path}.attn`, this.norm(`${path}.ln_1`, input), inputs);
      const attended = e.add(`${path}.residual`, attention, input);
      const changed = framed(e, "mlp", mlp, this.norm(`${path}.ln_2`, attended), (inner) => c.mlp(e, mlp, inner));
      return e.add(`${path}.sum`, attended, changed);
    });
  }

  private attention(layer: number, path: string, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
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
  }

  private norm(path: string, x: Value): Value {
    return this.e.layerNormAt(path, x, this.c.hiddenSize, this.c.epsilon);
  }
}

export const gptNeo: Family = {
  name: "gpt_neo",
  title: "GPT-Neo",
  shape: readGptNeo,
  compile: (config, weights, options = nothingOnDemand) => new GptNeoCompiler(config, weights, options).compile(),
};
