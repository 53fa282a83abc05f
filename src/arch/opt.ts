/** OPT: learned positions that start at row 2, LayerNorm before or after each part, embeddings that may be narrower than the model. */
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

/** torch's LayerNorm default, which OPT never changes. */
const EPSILON = 1e-5;
/** Rows of the position table before position 0. */
const POSITION_OFFSET = 2;

interface OptConfig extends ModelShape, Heads {
  readonly mlp: Mlp;
  /** Width of the token embeddings. */
  readonly wordSize: number;
  readonly bias: boolean;
  readonly normBefore: boolean;
  readonly finalNorm: boolean;
  readonly tied: boolean;
}

function readOpt(config: ConfigReader): OptConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (hiddenSize % heads !== 0) throw config.unsupported("num_attention_heads", `a divisor of ${hiddenSize}`);
  if (!config.boolean("layer_norm_elementwise_affine", true)) {
    throw config.unsupported("layer_norm_elementwise_affine", "true");
  }
  const bias = config.boolean("enable_bias", true);
  const normBefore = config.boolean("do_layer_norm_before", true);
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: config.int("max_position_embeddings", 2048, MAX_CONTEXT),
    cache: Array.from({ length: layers }, () => ({ key: hiddenSize, value: hiddenSize })),
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    mlp: plainMlp({
      names: { up: "fc1", act: "activation_fn", down: "fc2" },
      inner: config.int("ffn_dim"),
      activation: activationOf(config, "activation_function", "relu"),
      bias,
    }),
    wordSize: config.int("word_embed_proj_dim", hiddenSize),
    bias,
    normBefore,
    finalNorm: normBefore && !config.boolean("_remove_final_layer_norm", false),
    tied: config.boolean("tie_word_embeddings", true),
  };
}

class OptCompiler {
  readonly e: Emitter;
  readonly c: OptConfig;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.c = readOpt(config);
    const prefix = weights.prefixOf(["model.decoder.", "decoder."], "embed_tokens.weight");
    const stored = (path: string) => path.replace(/^model\.decoder\./, prefix);
    this.e = new Emitter(new Graph("opt"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = decoderInputs(e);
    const words = e.weight(e.stored("model.decoder.embed_tokens.weight"), [c.vocabularySize, c.wordSize]);
    let hidden = this.embedding(words, inputs);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs);
    if (c.finalNorm) hidden = this.norm("model.decoder.final_layer_norm", hidden);
    hidden = this.resized("project_out", hidden, c.hiddenSize, c.wordSize);
    decoderLogits(e, hidden, c.tied ? words : e.weight("lm_head.weight", [c.vocabularySize, c.wordSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private embedding(words: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const rows = [c.contextLength + POSITION_OFFSET, c.hiddenSize];
    const table = e.weight(e.stored("model.decoder.embed_positions.weight"), rows);
    const positions = e.op("Reshape", "position.rows", [inputs.positions, e.int64([-1])], {}, "int64");
    const shifted = e.op("Add", "position.shifted", [positions, e.int64([POSITION_OFFSET])], {}, "int64");
    const tokens = this.resized(
      "project_in",
      e.gatherRows("embed_tokens.output", words, inputs.ids),
      c.wordSize,
      c.hiddenSize,
    );
    return e.add("embedding", tokens, e.gatherRows("embed_positions.output", table, shifted));
  }

  /** Between the widths of embeddings and model; there is no such module where they are the same. */
  private resized(name: string, x: Value, from: number, to: number): Value {
    return from === to ? x : this.e.dense(`model.decoder.${name}`, x, from, to, { bias: false });
  }

  private block(layer: number, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const path = `model.decoder.layers.${layer}`;
    const width = c.hiddenSize;
    const part = (norm: string, rows: Value, body: (normed: Value) => Value): Value => {
      const before = c.normBefore ? this.norm(`${path}.${norm}`, rows) : rows;
      const sum = e.add(`${path}.${norm}.residual`, rows, body(before));
      return c.normBefore ? sum : this.norm(`${path}.${norm}`, sum);
    };
    return framed(e, "block", { layer, path, width }, x, (input) => {
      const attended = part("self_attn_layer_norm", input, (normed) => this.attention(layer, path, normed, inputs));
      // The layer itself holds the MLP's modules: there is none that is the MLP.
      return part("final_layer_norm", attended, (normed) =>
        framed(e, "mlp", { layer, path: undefined, width }, normed, (inner) => c.mlp(e, { layer, path, width }, inner)),
      );
    });
  }

  private attention(layer: number, block: string, x: Value, inputs: DecoderInputs): Value {
    const { e, c } = this;
    const path = `${block}.self_attn`;
    const paths = { query: `${path}.q_proj`, key: `${path}.k_proj`, value: `${path}.v_proj` };
    const spec = {
      path,
      heads: c,
      project: (input: Value) => project(e, layer, c, paths, c.bias, input),
      scale: c.headSize ** -0.5,
      out: { path: `${path}.out_proj`, bias: c.bias },
    };
    return selfAttention(e, layer, spec, inputs, x);
  }

  private norm(path: string, x: Value): Value {
    return this.e.layerNormAt(path, x, this.c.hiddenSize, EPSILON);
  }
}

export const opt: Family = {
  name: "opt",
  title: "OPT and Galactica",
  shape: readOpt,
  compile: (config, weights, options = nothingOnDemand) => new OptCompiler(config, weights, options).compile(),
};
