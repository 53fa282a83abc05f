/** GPT-2: learned positions, LayerNorm, one packed projection for queries, keys and values, GELU MLP. */
import { Graph, type Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { type DecoderInputs, decoderInputs, decoderLogits } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import {
  type CompiledModel,
  type CompileOptions,
  type Family,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import { framed } from "./framed.ts";
import type { Mlp } from "./gated-mlp.ts";
import { plainMlp } from "./plain-mlp.ts";
import { type Heads, type Projected, selfAttention, unpacked } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

interface Gpt2Config extends ModelShape, Heads {
  readonly mlp: Mlp;
  readonly epsilon: number;
  readonly scaled: boolean;
  readonly scaledByLayer: boolean;
  readonly tied: boolean;
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

class Gpt2Compiler {
  readonly e: Emitter;
  readonly c: Gpt2Config;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.c = readGpt2(config);
    // The published files lack the "transformer." that module paths always have.
    const prefix = weights.prefixOf(["transformer.", ""], "wte.weight");
    const stored = (path: string) => path.replace(/^transformer\./, prefix);
    this.e = new Emitter(new Graph("gpt2"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
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
    const spec = {
      path,
      heads: c,
      project: (input: Value) => this.projected(layer, path, input),
      scale: (c.scaled ? c.headSize ** -0.5 : 1) / (c.scaledByLayer ? layer + 1 : 1),
      out: { path: `${path}.c_proj`, bias: true, inFirst: true },
    };
    const output = selfAttention(e, layer, spec, inputs, x);
    e.module(`${path}.resid_dropout`, "output", output, c.hiddenSize);
    return output;
  }

  private projected(layer: number, path: string, x: Value): Projected {
    const { e, c } = this;
    const rows = e.dense(`${path}.c_attn`, x, c.hiddenSize, 3 * c.hiddenSize, { bias: true, inFirst: true });
    return unpacked(e, layer, c, path, rows);
  }

  private norm(path: string, x: Value): Value {
    return this.e.layerNormAt(path, x, this.c.hiddenSize, this.c.epsilon);
  }
}

export const gpt2: Family = {
  name: "gpt2",
  title: "GPT-2 and models of that layout",
  shape: readGpt2,
  compile: (config, weights, options = nothingOnDemand) => new Gpt2Compiler(config, weights, options).compile(),
};
