/** What GPT-2 and GPT-Neo share: learned positions and blocks of LayerNorm, attention, LayerNorm and MLP; attention is their own. */
import { Graph, type Value } from "../graph/ir.ts";
import { type DecoderInputs, decoderInputs, decoderLogits } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import type { CompiledModel, CompileOptions, ModelShape } from "./family.ts";
import { framed } from "./framed.ts";
import type { Mlp } from "./gated-mlp.ts";
import type { Heads } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

export interface GptConfig extends ModelShape, Heads {
  readonly mlp: Mlp;
  readonly epsilon: number;
  readonly tied: boolean;
}

/** Emits the attention at `path` on [rows, hidden], behind its norm. */
export type GptAttention = (e: Emitter, layer: number, path: string, x: Value, inputs: DecoderInputs) => Value;

/** Throws `weights-missing`. */
export function compileGpt(
  name: string,
  c: GptConfig,
  attention: GptAttention,
  weights: WeightIndex,
  options: CompileOptions,
): CompiledModel {
  // The published files lack the "transformer." that module paths always have.
  const prefix = weights.prefixOf(["transformer.", ""], "wte.weight");
  const stored = (path: string) => path.replace(/^transformer\./, prefix);
  const e = new Emitter(new Graph(name), weights, c.layers, options, stored);
  const inputs = decoderInputs(e, c.windows);
  const words = e.weight(e.stored("transformer.wte.weight"), [c.vocabularySize, c.hiddenSize]);
  const places = e.weight(e.stored("transformer.wpe.weight"), [c.contextLength, c.hiddenSize]);
  const positions = e.op("Reshape", "position.rows", [inputs.positions, e.int64([-1])], {}, "int64");
  const token = e.gatherRows("wte.output", words, inputs.ids);
  let hidden = e.add("embedding", token, e.gatherRows("wpe.output", places, positions));
  for (let layer = 0; layer < c.layers; layer++) hidden = block(e, c, attention, layer, hidden, inputs);
  hidden = e.layerNormAt("transformer.ln_f", hidden, c.hiddenSize, c.epsilon);
  decoderLogits(e, hidden, c.tied ? words : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]));
  return { graph: e.graph, sites: e.sites };
}

function block(
  e: Emitter,
  c: GptConfig,
  attention: GptAttention,
  layer: number,
  x: Value,
  inputs: DecoderInputs,
): Value {
  const path = `transformer.h.${layer}`;
  const mlp = { layer, path: `${path}.mlp`, width: c.hiddenSize };
  const norm = (name: string, value: Value) => e.layerNormAt(`${path}.${name}`, value, c.hiddenSize, c.epsilon);
  return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
    const attended = e.add(`${path}.residual`, attention(e, layer, `${path}.attn`, norm("ln_1", input), inputs), input);
    const changed = framed(e, "mlp", mlp, norm("ln_2", attended), (inner) => c.mlp(e, mlp, inner));
    return e.add(`${path}.sum`, attended, changed);
  });
}
