/** LLaMA 1, 2, 3 and models of the same layout (SmolLM, TinyLlama, ...): RMSNorm, rotary attention with grouped heads, gated MLP. */
import { Graph, type Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { cachedAttention, type DecoderInputs, decoderInputs, decoderLogits, io } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import {
  type CompiledModel,
  type CompileOptions,
  type Family,
  MAX_CONTEXT,
  MAX_HEAD_SIZE,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import { emitRotation, inverseFrequencies, type Rotation, rotate } from "./rotary.ts";
import type { WeightIndex } from "./weights.ts";

interface LlamaConfig extends ModelShape {
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly epsilon: number;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly tied: boolean;
}

function readLlama(config: ConfigReader): LlamaConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const kvHeads = config.int("num_key_value_heads", heads);
  const headSize = config.int("head_dim", Math.floor(hiddenSize / heads), MAX_HEAD_SIZE);
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (heads % kvHeads !== 0) throw config.unsupported("num_key_value_heads", `a divisor of ${heads}`);
  const width = kvHeads * headSize;
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: Math.min(MAX_CONTEXT, config.int("max_position_embeddings", 2048)),
    cache: Array.from({ length: layers }, () => ({ key: width, value: width })),
    intermediate: config.int("intermediate_size"),
    heads,
    kvHeads,
    headSize,
    epsilon: config.number("rms_norm_eps", 1e-6),
    attentionBias: config.boolean("attention_bias", false),
    mlpBias: config.boolean("mlp_bias", false),
    tied: config.boolean("tie_word_embeddings", false),
  };
}

class LlamaCompiler {
  readonly e: Emitter;
  readonly c: LlamaConfig;
  readonly config: ConfigReader;
  readonly prefix: string;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readLlama(config);
    this.e = new Emitter(new Graph("llama"), weights, this.c.layers, options);
    this.prefix = weights.prefixOf(["model.", ""], "embed_tokens.weight");
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
    const rotation = emitRotation(e, inputs.positions, inverseFrequencies(this.config, c.headSize));
    const embedding = e.weight(`${this.prefix}embed_tokens.weight`, [c.vocabularySize, c.hiddenSize]);
    let hidden = e.gatherRows("embed_tokens.output", embedding, inputs.ids);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs, rotation);
    hidden = e.rms("model.norm", hidden, c.hiddenSize, c.epsilon, `${this.prefix}norm`);
    decoderLogits(e, hidden, c.tied ? embedding : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { e, c } = this;
    const path = `model.layers.${layer}`;
    const input = e.component(layer, "block_input", x, c.hiddenSize);
    e.module(path, "input", input, c.hiddenSize);
    const attended = e.add(`${path}.residual`, input, this.attention(layer, path, input, inputs, rotation));
    const output = e.add(`layers.${layer}.block_output`, attended, this.mlp(layer, path, attended));
    e.alias(layer, "block_output", output, c.hiddenSize);
    e.module(path, "output", output, c.hiddenSize);
    return output;
  }

  private attention(layer: number, path: string, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { e, c } = this;
    const normed = e.rms(`${path}.input_layernorm`, x, c.hiddenSize, c.epsilon, this.stored(layer, "input_layernorm"));
    const input = e.component(layer, "attention_input", normed, c.hiddenSize);
    e.module(`${path}.self_attn`, "input", input, c.hiddenSize);
    const project = (name: "query" | "key" | "value", heads: number): Value => {
      const module = `self_attn.${name[0]}_proj`;
      const width = heads * c.headSize;
      const out = this.dense(layer, module, input, c.hiddenSize, width, c.attentionBias);
      const value = e.component(layer, `${name}_output`, out, width);
      e.alias(layer, `head_${name}_output`, value, width, { count: heads, size: c.headSize });
      return value;
    };
    const batched = (value: Value, name: string) => e.reshape(name, value, inputs.batched);
    const query = batched(project("query", c.heads), `${path}.query.batched`);
    const key = batched(project("key", c.kvHeads), `${path}.key.batched`);
    const value = batched(project("value", c.kvHeads), io.stepValue(layer));
    const context = cachedAttention(e, {
      layer,
      query: rotate(e, `${path}.query.rotated`, query, rotation, c.heads),
      key: rotate(e, io.stepKey(layer), key, rotation, c.kvHeads),
      value,
      heads: c.heads,
      kvHeads: c.kvHeads,
      size: c.headSize,
      scale: c.headSize ** -0.5,
      mask: inputs.mask,
    });
    const width = c.heads * c.headSize;
    const perHead = e.component(layer, "attention_value_output", context, width);
    e.alias(layer, "head_attention_value_output", perHead, width, { count: c.heads, size: c.headSize });
    const mixed = this.dense(layer, "self_attn.o_proj", perHead, width, c.hiddenSize, c.attentionBias);
    const output = e.component(layer, "attention_output", mixed, c.hiddenSize);
    e.module(`${path}.self_attn`, "output", output, c.hiddenSize);
    return output;
  }

  private mlp(layer: number, path: string, x: Value): Value {
    const { e, c } = this;
    const norm = "post_attention_layernorm";
    const normed = e.rms(`${path}.${norm}`, x, c.hiddenSize, c.epsilon, this.stored(layer, norm));
    const input = e.component(layer, "mlp_input", normed, c.hiddenSize);
    e.module(`${path}.mlp`, "input", input, c.hiddenSize);
    const gate = this.dense(layer, "mlp.gate_proj", input, c.hiddenSize, c.intermediate, c.mlpBias);
    const act = activationOf(this.config, "hidden_act", "silu")(e, `${path}.mlp.act_fn.output`, gate);
    const activation = e.component(layer, "mlp_activation", act, c.intermediate);
    e.module(`${path}.mlp.act_fn`, "output", activation, c.intermediate);
    const up = this.dense(layer, "mlp.up_proj", input, c.hiddenSize, c.intermediate, c.mlpBias);
    const product = e.mul(`${path}.mlp.product`, activation, up);
    const down = this.dense(layer, "mlp.down_proj", product, c.intermediate, c.hiddenSize, c.mlpBias);
    const output = e.component(layer, "mlp_output", down, c.hiddenSize);
    e.module(`${path}.mlp`, "output", output, c.hiddenSize);
    return output;
  }

  private dense(layer: number, module: string, x: Value, from: number, to: number, bias: boolean): Value {
    return this.e.dense(`model.layers.${layer}.${module}`, x, from, to, { bias, stored: this.stored(layer, module) });
  }

  /** The module's name in the checkpoint, which may lack the "model." that module paths always have. */
  private stored(layer: number, module: string): string {
    return `${this.prefix}layers.${layer}.${module}`;
  }
}

export const llama: Family = {
  name: "llama",
  title: "LLaMA 1, 2, 3, SmolLM and models of that layout",
  shape: readLlama,
  compile: (config, weights, options = nothingOnDemand) => new LlamaCompiler(config, weights, options).compile(),
};
