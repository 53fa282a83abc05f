/** Phi 1, 1.5 and 2: attention and MLP side by side after one LayerNorm, rotary on part of a head, biases everywhere. */
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
  MAX_HEAD_SIZE,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import { framed } from "./framed.ts";
import type { Mlp } from "./gated-mlp.ts";
import { plainMlp } from "./plain-mlp.ts";
import { emitRotation, type Rotation, ropeOf } from "./rotary.ts";
import { type Heads, project, selfAttention } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

interface PhiConfig extends ModelShape, Heads {
  readonly mlp: Mlp;
  readonly epsilon: number;
  readonly tied: boolean;
}

function readPhi(config: ConfigReader): PhiConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const kvHeads = config.int("num_key_value_heads", heads);
  const headSize = config.int("head_dim", Math.max(1, Math.floor(hiddenSize / heads)), MAX_HEAD_SIZE);
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (heads % kvHeads !== 0) throw config.unsupported("num_key_value_heads", `a divisor of ${heads}`);
  if (config.boolean("qk_layernorm", false)) throw config.unsupported("qk_layernorm", "false");
  const width = kvHeads * headSize;
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: Math.min(MAX_CONTEXT, config.int("max_position_embeddings", 2048)),
    cache: Array.from({ length: layers }, () => ({ key: width, value: width })),
    heads,
    kvHeads,
    headSize,
    mlp: plainMlp({
      names: { up: "fc1", act: "activation_fn", down: "fc2" },
      inner: config.int("intermediate_size"),
      activation: activationOf(config, "hidden_act", "gelu_new"),
    }),
    epsilon: config.number("layer_norm_eps", 1e-5),
    tied: config.boolean("tie_word_embeddings", false),
  };
}

class PhiCompiler {
  readonly e: Emitter;
  readonly c: PhiConfig;
  readonly config: ConfigReader;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readPhi(config);
    const prefix = weights.prefixOf(["model.", ""], "embed_tokens.weight");
    const stored = (path: string) => path.replace(/^model\./, prefix);
    this.e = new Emitter(new Graph("phi"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
    const rotation = emitRotation(e, inputs.positions, ropeOf(this.config, c.headSize, { partial: 0.5 }));
    const embedding = e.weight(e.stored("model.embed_tokens.weight"), [c.vocabularySize, c.hiddenSize]);
    let hidden = e.gatherRows("embed_tokens.output", embedding, inputs.ids);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs, rotation);
    hidden = this.norm("model.final_layernorm", hidden);
    const head = c.tied ? embedding : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]);
    decoderLogits(e, hidden, head, { bias: e.weight("lm_head.bias", [c.vocabularySize]) });
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { e, c } = this;
    const path = `model.layers.${layer}`;
    const mlp = { layer, path: `${path}.mlp`, width: c.hiddenSize };
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const normed = this.norm(`${path}.input_layernorm`, input);
      const attended = this.attention(layer, `${path}.self_attn`, normed, inputs, rotation);
      const changed = framed(e, "mlp", mlp, normed, (inner) => c.mlp(e, mlp, inner));
      return e.add(`${path}.sum`, e.add(`${path}.both`, attended, changed), input);
    });
  }

  private attention(layer: number, path: string, x: Value, inputs: DecoderInputs, rotation: Rotation): Value {
    const { e, c } = this;
    const paths = { query: `${path}.q_proj`, key: `${path}.k_proj`, value: `${path}.v_proj` };
    const spec = {
      path,
      heads: c,
      project: (input: Value) => project(e, layer, c, paths, true, input),
      rotation,
      scale: c.headSize ** -0.5,
      out: { path: `${path}.dense`, bias: true },
    };
    return selfAttention(e, layer, spec, inputs, x);
  }

  private norm(path: string, x: Value): Value {
    return this.e.layerNormAt(path, x, this.c.hiddenSize, this.c.epsilon);
  }
}

export const phi: Family = {
  name: "phi",
  title: "Phi 1, 1.5 and 2",
  shape: readPhi,
  compile: (config, weights, options = nothingOnDemand) => new PhiCompiler(config, weights, options).compile(),
};
