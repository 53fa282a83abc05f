/** GPT-2: learned positions, LayerNorm, one packed projection for queries, keys and values, GELU MLP. */
import { Graph, type Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { cachedAttention, type DecoderInputs, decoderInputs, decoderLogits, io } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import {
  type CompiledModel,
  type CompileOptions,
  type Family,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import type { WeightIndex } from "./weights.ts";

interface Gpt2Config extends ModelShape {
  readonly heads: number;
  readonly headSize: number;
  readonly inner: number;
  readonly epsilon: number;
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
    headSize: hiddenSize / heads,
    inner: config.int("n_inner", 4 * hiddenSize),
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    scaled: config.boolean("scale_attn_weights", true),
    scaledByLayer: config.boolean("scale_attn_by_inverse_layer_idx", false),
  };
}

class Gpt2Compiler {
  readonly e: Emitter;
  readonly c: Gpt2Config;
  readonly config: ConfigReader;
  readonly prefix: string;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readGpt2(config);
    this.e = new Emitter(new Graph("gpt2"), weights, this.c.layers, options);
    this.prefix = weights.prefixOf(["transformer.", ""], "wte.weight");
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
    const words = e.weight(`${this.prefix}wte.weight`, [c.vocabularySize, c.hiddenSize]);
    const places = e.weight(`${this.prefix}wpe.weight`, [c.contextLength, c.hiddenSize]);
    const positions = e.op("Reshape", "position.rows", [inputs.positions, e.int64([-1])], {}, "int64");
    const token = e.gatherRows("wte.output", words, inputs.ids);
    let hidden = e.add("embedding", token, e.gatherRows("wpe.output", places, positions));
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs);
    hidden = e.layerNormAt("transformer.ln_f", hidden, c.hiddenSize, c.epsilon, `${this.prefix}ln_f`);
    const tied = this.config.boolean("tie_word_embeddings", true);
    decoderLogits(e, hidden, tied ? words : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const path = `transformer.h.${layer}`;
    const input = e.component(layer, "block_input", x, c.hiddenSize);
    e.module(path, "input", input, c.hiddenSize);
    const attended = e.add(`${path}.residual`, this.attention(layer, path, input, inputs), input);
    const output = e.add(`layers.${layer}.block_output`, attended, this.mlp(layer, path, attended));
    e.alias(layer, "block_output", output, c.hiddenSize);
    e.module(path, "output", output, c.hiddenSize);
    return output;
  }

  private attention(layer: number, path: string, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const width = c.hiddenSize;
    const heads = { count: c.heads, size: c.headSize };
    const normed = e.layerNormAt(`${path}.ln_1`, x, width, c.epsilon, this.stored(layer, "ln_1"));
    const input = e.component(layer, "attention_input", normed, width);
    e.module(`${path}.attn`, "input", input, width);
    const packed = this.dense(layer, "attn.c_attn", input, width, 3 * width);
    const names = ["query", "key", "value"] as const;
    const thirds = e.split(
      names.map((name) => `${path}.attn.${name}`),
      packed,
      [width, width, width],
      1,
    );
    const [query, key, value] = names.map((name, i) => {
      const part = e.component(layer, `${name}_output`, thirds[i]!, width);
      e.alias(layer, `head_${name}_output`, part, width, heads);
      return part;
    }) as [Value, Value, Value];
    const context = cachedAttention(e, {
      layer,
      query: e.reshape(`${path}.query.batched`, query, inputs.batched),
      key: e.reshape(io.stepKey(layer), key, inputs.batched),
      value: e.reshape(io.stepValue(layer), value, inputs.batched),
      heads: c.heads,
      kvHeads: c.heads,
      size: c.headSize,
      scale: (c.scaled ? c.headSize ** -0.5 : 1) / (c.scaledByLayer ? layer + 1 : 1),
      mask: inputs.mask,
    });
    const perHead = e.component(layer, "attention_value_output", context, width);
    e.alias(layer, "head_attention_value_output", perHead, width, heads);
    const mixed = this.dense(layer, "attn.c_proj", perHead, width, width);
    const output = e.component(layer, "attention_output", mixed, width);
    e.module(`${path}.attn.resid_dropout`, "output", output, width);
    e.module(`${path}.attn`, "output", output, width);
    return output;
  }

  private mlp(layer: number, path: string, x: Value): Value {
    const { e, c } = this;
    const normed = e.layerNormAt(`${path}.ln_2`, x, c.hiddenSize, c.epsilon, this.stored(layer, "ln_2"));
    const input = e.component(layer, "mlp_input", normed, c.hiddenSize);
    e.module(`${path}.mlp`, "input", input, c.hiddenSize);
    const wide = this.dense(layer, "mlp.c_fc", input, c.hiddenSize, c.inner);
    const act = activationOf(this.config, "activation_function", "gelu_new")(e, `${path}.mlp.act.output`, wide);
    const activation = e.component(layer, "mlp_activation", act, c.inner);
    e.module(`${path}.mlp.act`, "output", activation, c.inner);
    const narrow = this.dense(layer, "mlp.c_proj", activation, c.inner, c.hiddenSize);
    const output = e.component(layer, "mlp_output", narrow, c.hiddenSize);
    e.module(`${path}.mlp`, "output", output, c.hiddenSize);
    return output;
  }

  private dense(layer: number, module: string, x: Value, from: number, to: number): Value {
    const path = `transformer.h.${layer}.${module}`;
    return this.e.dense(path, x, from, to, { bias: true, inFirst: true, stored: this.stored(layer, module) });
  }

  /** The module's name in the checkpoint; the published GPT-2 files lack the "transformer." of module paths. */
  private stored(layer: number, module: string): string {
    return `${this.prefix}h.${layer}.${module}`;
  }
}

export const gpt2: Family = {
  name: "gpt2",
  title: "GPT-2 and models of that layout",
  shape: readGpt2,
  compile: (config, weights, options = nothingOnDemand) => new Gpt2Compiler(config, weights, options).compile(),
};
