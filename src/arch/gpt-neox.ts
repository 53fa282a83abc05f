/** GPT-NeoX and Pythia: attention and MLP side by side, queries, keys and values packed head by head, rotary on part of a head. */
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
import { emitRotation, type Rotation, ropeOf } from "./rotary.ts";
import { type Heads, type Projected, selfAttention } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

interface GptNeoxConfig extends ModelShape, Heads {
  readonly mlp: Mlp;
  readonly epsilon: number;
  readonly attentionBias: boolean;
  readonly parallel: boolean;
  readonly tied: boolean;
}

function readGptNeox(config: ConfigReader): GptNeoxConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (hiddenSize % heads !== 0) throw config.unsupported("num_attention_heads", `a divisor of ${hiddenSize}`);
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: Math.min(MAX_CONTEXT, config.int("max_position_embeddings", 2048)),
    cache: Array.from({ length: layers }, () => ({ key: hiddenSize, value: hiddenSize })),
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    mlp: plainMlp({
      names: { up: "dense_h_to_4h", act: "act", down: "dense_4h_to_h" },
      inner: config.int("intermediate_size"),
      activation: activationOf(config, "hidden_act", "gelu"),
    }),
    epsilon: config.number("layer_norm_eps", 1e-5),
    attentionBias: config.boolean("attention_bias", true),
    parallel: config.boolean("use_parallel_residual", true),
    tied: config.boolean("tie_word_embeddings", false),
  };
}

class GptNeoxCompiler {
  readonly e: Emitter;
  readonly c: GptNeoxConfig;
  readonly config: ConfigReader;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readGptNeox(config);
    const prefix = weights.prefixOf(["gpt_neox.", ""], "embed_in.weight");
    const stored = (path: string) => path.replace(/^gpt_neox\./, prefix);
    this.e = new Emitter(new Graph("gpt_neox"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
    // First the weight, which there is: then there can be a table of frequencies as long as the config says.
    const embedding = e.weight(e.stored("gpt_neox.embed_in.weight"), [c.vocabularySize, c.hiddenSize]);
    const names = { factor: "rotary_pct", theta: "rotary_emb_base" };
    const rotation = emitRotation(e, inputs.positions, ropeOf(this.config, c.headSize, { partial: 0.25, names }));
    let hidden = e.gatherRows("embed_in.output", embedding, inputs.ids);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs, rotation);
    hidden = this.norm("gpt_neox.final_layer_norm", hidden);
    decoderLogits(e, hidden, c.tied ? embedding : e.weight("embed_out.weight", [c.vocabularySize, c.hiddenSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { e, c } = this;
    const path = `gpt_neox.layers.${layer}`;
    const mlp = { layer, path: `${path}.mlp`, width: c.hiddenSize };
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const normed = this.norm(`${path}.input_layernorm`, input);
      const attended = this.attention(layer, `${path}.attention`, normed, inputs, rotation);
      const residual = e.add(`${path}.residual`, attended, input);
      const again = this.norm(`${path}.post_attention_layernorm`, c.parallel ? input : residual);
      const changed = framed(e, "mlp", mlp, again, (inner) => c.mlp(e, mlp, inner));
      return e.add(`${path}.sum`, changed, residual);
    });
  }

  private attention(layer: number, path: string, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { c } = this;
    const spec = {
      path,
      heads: c,
      project: (input: Value) => this.unpacked(path, input),
      rotation,
      scale: c.headSize ** -0.5,
      out: { path: `${path}.dense`, bias: c.attentionBias },
    };
    return selfAttention(this.e, layer, spec, inputs, x);
  }

  /** The packed projection holds, head after head, the head's query, key and value. */
  private unpacked(path: string, x: Value): Projected {
    const { e, c } = this;
    const { hiddenSize, headSize } = c;
    const packed = e.dense(`${path}.query_key_value`, x, hiddenSize, 3 * hiddenSize, { bias: c.attentionBias });
    const byHead = e.reshape(`${path}.heads`, packed, [-1, c.heads, 3 * headSize]);
    const names = ["query", "key", "value"].map((name) => `${path}.${name}`);
    const [query, key, value] = e
      .split(names, byHead, [headSize, headSize, headSize], 2)
      .map((part) => e.reshape(`${part.name}.rows`, part, [-1, hiddenSize])) as [Value, Value, Value];
    return { query, key, value };
  }

  private norm(path: string, x: Value): Value {
    return this.e.layerNormAt(path, x, this.c.hiddenSize, this.c.epsilon);
  }
}

export const gptNeox: Family = {
  name: "gpt_neox",
  title: "GPT-NeoX, Pythia and models of that layout",
  shape: readGptNeox,
  compile: (config, weights, options = nothingOnDemand) => new GptNeoxCompiler(config, weights, options).compile(),
};
