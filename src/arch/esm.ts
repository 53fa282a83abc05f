/** ESM-1b and ESM-2, encoders of protein sequences: every token sees every other; rotary or learned positions; masked-token head. */
import { Float, Graph, type Value } from "../graph/ir.ts";
import { attentionWeightName, emitAttentionWeights } from "./attention-weights.ts";
import type { ConfigReader } from "./config.ts";
import { decoderLogits } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import { type EsmConfig, readEsm } from "./esm-config.ts";
import { type EsmInputs, esmEmbedding, withPositions } from "./esm-embedding.ts";
import { type CompiledModel, type CompileOptions, type Family, nothingOnDemand } from "./family.ts";
import { framed } from "./framed.ts";
import { emitRotation, type Rotation, ropeOf, rotate, rotationBy } from "./rotary.ts";
import { headOutputs, type Projected, project } from "./self-attention.ts";
import { tokenInputs } from "./token-inputs.ts";
import type { WeightIndex } from "./weights.ts";

/** Where checkpoints keep the rotary frequencies: those of ESM-2 are rounded to half precision, as the models were trained. */
const frequencyNames = ["rotary_embeddings.inv_freq"].concat(
  ["0", "*"].map((layer) => `encoder.layer.${layer}.attention.self.rotary_embeddings.inv_freq`),
);

/** What all layers share. */
interface Shared {
  readonly inputs: EsmInputs;
  readonly rotation: Rotation | undefined;
  /** bool [b, 1, s, s] */
  readonly mask: Value;
}

class EsmCompiler {
  readonly e: Emitter;
  readonly c: EsmConfig;
  readonly config: ConfigReader;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readEsm(config);
    const prefix = weights.prefixOf(["esm.", ""], "embeddings.word_embeddings.weight");
    const stored = (path: string) => path.replace(/^esm\./, prefix);
    this.e = new Emitter(new Graph("esm"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = withPositions(e, tokenInputs(e));
    const words = e.weight(e.stored("esm.embeddings.word_embeddings.weight"), [c.vocabularySize, c.hiddenSize]);
    const norm = (path: string, x: Value) => this.norm(path, x);
    const shared = { inputs, rotation: this.rotation(inputs), mask: this.mask(inputs) };
    let hidden = esmEmbedding(e, c, words, inputs, norm);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, shared);
    hidden = norm("esm.encoder.emb_layer_norm_after", hidden);
    const wide = e.dense("lm_head.dense", hidden, c.hiddenSize, c.hiddenSize, { bias: true });
    const features = norm("lm_head.layer_norm", e.op("Gelu", "lm_head.activation", [wide]));
    const head = c.tied ? words : e.weight("lm_head.decoder.weight", [c.vocabularySize, c.hiddenSize]);
    decoderLogits(e, features, head, { bias: e.weight("lm_head.bias", [c.vocabularySize]) });
    return { graph: e.graph, sites: e.sites };
  }

  private rotation(inputs: EsmInputs): Rotation | undefined {
    const { e, c } = this;
    if (c.positions === "absolute") return undefined;
    const stored = frequencyNames.map((name) => e.stored(`esm.${name}`)).find((name) => e.weights.has(name));
    if (stored === undefined) return emitRotation(e, inputs.positions, ropeOf(this.config, c.headSize));
    const pairs = c.headSize / 2;
    const table = e.reshape("rope.table", e.weight(stored, [pairs]), [1, 1, pairs]);
    return rotationBy(e, inputs.positions, table, { pairs, factor: 1 });
  }

  /** Every token, padding too, sees all real ones. */
  private mask({ inputIds, real }: EsmInputs): Value {
    const { e } = this;
    const keys = e.op("Unsqueeze", "mask.keys", [real, e.int64([1, 2])], {}, "bool");
    const queries = e.op("Shape", "mask.length", [inputIds], { start: 1 }, "int64");
    const shape = e.concat("mask.shape", [e.int64([1, 1]), queries, e.int64([1])], 0);
    return e.op("Expand", "mask", [keys, shape], {}, "bool");
  }

  private block(layer: number, x: Value, shared: Shared): Value {
    const { e, c } = this;
    const path = `esm.encoder.layer.${layer}`;
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const attended = this.attention(layer, `${path}.attention`, input, shared);
      return this.mlp(layer, path, attended);
    });
  }

  /** ESM's attention module holds the LayerNorm before and the residual after. */
  private attention(layer: number, path: string, x: Value, shared: Shared): Value {
    const { e, c } = this;
    const self = `${path}.self`;
    const paths = { query: `${self}.query`, key: `${self}.key`, value: `${self}.value` };
    return framed(e, "attention", { layer, path, width: c.hiddenSize }, x, (input) => {
      const normed = this.norm(`${path}.LayerNorm`, input);
      const context = this.context(layer, self, project(e, layer, c, paths, true, normed), shared);
      const out = `${path}.output.dense`;
      const mixed = e.dense(out, headOutputs(e, layer, c, context), c.hiddenSize, c.hiddenSize, { bias: true });
      return e.add(`${path}.residual`, mixed, input);
    });
  }

  private context(layer: number, path: string, rows: Projected, { inputs, rotation, mask }: Shared): Value {
    const { e, c } = this;
    const batched = (side: keyof Projected) => e.reshape(`${path}.${side}.batched`, rows[side], inputs.batched);
    const placed = (side: keyof Projected) =>
      rotation === undefined ? batched(side) : rotate(e, `${path}.${side}.rotated`, batched(side), rotation, c.heads);
    const sides = { query: placed("query"), key: placed("key"), value: batched("value") };
    const spec = { layer, heads: c.heads, kvHeads: c.heads, size: c.headSize, scale: c.headSize ** -0.5, mask };
    const weights = { value: attentionWeightName(layer), width: 0, attention: { heads: c.heads } };
    e.sites.addComponent(layer, "attention_weight", weights);
    if (e.options.attentionWeights.has(layer)) emitAttentionWeights(e, { ...spec, ...sides }, sides.key);
    const context = e.op("Attention", `${path}.context`, [sides.query, sides.key, sides.value, mask], {
      q_num_heads: c.heads,
      kv_num_heads: c.heads,
      scale: new Float(spec.scale),
    });
    return e.reshape(`${path}.rows`, context, [-1, c.hiddenSize]);
  }

  /** The MLP is two modules: `intermediate`, and `output`, which holds the residual. */
  private mlp(layer: number, path: string, x: Value): Value {
    const { e, c } = this;
    const normed = this.norm(`${path}.LayerNorm`, x);
    const output = framed(e, "mlp", { layer, path: undefined, width: c.hiddenSize }, normed, (input) => {
      e.module(`${path}.intermediate`, "input", input, c.hiddenSize);
      const wide = e.dense(`${path}.intermediate.dense`, input, c.hiddenSize, c.inner, { bias: true });
      const act = e.component(layer, "mlp_activation", e.op("Gelu", `${path}.intermediate.gelu`, [wide]), c.inner);
      e.module(`${path}.intermediate`, "output", act, c.inner);
      const narrow = e.dense(`${path}.output.dense`, act, c.inner, c.hiddenSize, { bias: true });
      return e.add(`${path}.output.residual`, narrow, x);
    });
    e.module(`${path}.output`, "output", output, c.hiddenSize);
    return output;
  }

  /** A LayerNorm; some checkpoints call its weight and bias gamma and beta. */
  private norm(path: string, x: Value): Value {
    const { e, c } = this;
    const stored = e.stored(path);
    const [weight, bias] = e.weights.has(`${stored}.gamma`) ? ["gamma", "beta"] : ["weight", "bias"];
    const tensor = (name: string) => e.weight(`${stored}.${name}`, [c.hiddenSize]);
    const output = e.layerNorm(`${path}.output`, x, tensor(weight), tensor(bias), c.epsilon);
    e.module(path, "output", output, c.hiddenSize);
    return output;
  }
}

export const esm: Family = {
  name: "esm",
  title: "ESM-1b and ESM-2 (protein sequences, masked-token model)",
  shape: readEsm,
  compile: (config, weights, options = nothingOnDemand) => new EsmCompiler(config, weights, options).compile(),
};
