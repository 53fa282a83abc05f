/** What goes into ESM's first layer: token embeddings, rescaled for masked tokens, with learned positions where it has them. */
import type { Value } from "../graph/ir.ts";
import { io } from "./decoder.ts";
import type { Emitter } from "./emitter.ts";
import type { EsmConfig } from "./esm-config.ts";
import type { TokenInputs } from "./token-inputs.ts";

/** Share of tokens that were masked out in training: 15 % were picked, 80 % of those replaced by the mask token. */
const TRAINED_MASK_RATIO = 0.15 * 0.8;

export interface EsmInputs extends TokenInputs {
  /** int64 [b, s] */
  readonly positions: Value;
}

export function withPositions(e: Emitter, inputs: TokenInputs): EsmInputs {
  return { ...inputs, positions: e.graph.addInput(io.positionIds, "int64", ["batch", "step"]) };
}

/** Rows [r, hidden], zero at padding. `words` is [vocabulary, hidden]; `norm` writes a LayerNorm at a module path. */
export function esmEmbedding(
  e: Emitter,
  c: EsmConfig,
  words: Value,
  inputs: EsmInputs,
  norm: (path: string, x: Value) => Value,
): Value {
  let rows = e.gatherRows("word_embeddings.output", words, inputs.ids);
  if (c.tokenDropout) rows = rescaled(e, c, rows, inputs);
  if (c.positions === "absolute") rows = e.add("embedding.placed", rows, learnedPositions(e, c, inputs));
  if (c.normBefore) rows = norm("esm.embeddings.layer_norm", rows);
  return e.mul("embedding.real", rows, inputs.realRows);
}

/** Masked tokens become zero, and the others grow by as much as training had more masked tokens than this row has. */
function rescaled(e: Emitter, c: EsmConfig, rows: Value, inputs: EsmInputs): Value {
  const ones = e.scalar(1);
  const isMask = e.op("Equal", "masked.tokens", [inputs.inputIds, e.int64([c.maskTokenId])], {}, "bool");
  const masked = e.op("Cast", "masked.numbers", [isMask], { to: 1 });
  const real = e.op("Cast", "real.floats", [inputs.real], { to: 1 });
  const count = (name: string, flags: Value) => e.op("ReduceSum", name, [flags, e.int64([1])], { keepdims: 1 });
  const share = e.op("Div", "masked.share", [count("masked.count", masked), count("real.count", real)]);
  const growth = e.op("Div", "masked.growth", [
    e.scalar(1 - TRAINED_MASK_RATIO),
    e.op("Sub", "masked.rest", [ones, share]),
  ]);
  const weights = e.mul("masked.weights", e.op("Sub", "masked.kept", [ones, masked]), growth);
  return e.mul("embedding.rescaled", rows, e.reshape("masked.rows", weights, [-1, 1]));
}

/** Row padding + 1 of the table is position 0. */
function learnedPositions(e: Emitter, c: EsmConfig, inputs: EsmInputs): Value {
  const first = c.padTokenId + 1;
  const table = e.weight(e.stored("esm.embeddings.position_embeddings.weight"), [
    c.contextLength + first,
    c.hiddenSize,
  ]);
  const rows = e.reshape("position.rows", inputs.positions, [-1]);
  const shifted = e.op("Add", "position.shifted", [rows, e.int64([first])], {}, "int64");
  return e.gatherRows("position_embeddings.output", table, shifted);
}
