/** The inputs of families without causal attention: token ids, and which of them are real. */
import type { Value } from "../graph/ir.ts";
import { io } from "./decoder.ts";
import type { Emitter } from "./emitter.ts";

export interface TokenInputs {
  /** int64 [b, s] */
  readonly inputIds: Value;
  /** int64 [r] */
  readonly ids: Value;
  /** bool [b, s] */
  readonly real: Value;
  /** float32 [r, 1]: 1 for real tokens, 0 for padding */
  readonly realRows: Value;
  /** int64 [3] = b, s, -1: the target shape that turns rows into [b, s, width] */
  readonly batched: Value;
}

export function tokenInputs(e: Emitter): TokenInputs {
  const inputIds = e.graph.addInput(io.inputIds, "int64", ["batch", "step"]);
  const real = e.graph.addInput(io.tokenMask, "bool", ["batch", "step"]);
  const shape = e.op("Shape", "shape.ids", [inputIds], {}, "int64");
  return {
    inputIds,
    ids: e.reshape("ids", inputIds, [-1]),
    real,
    realRows: e.reshape("real.rows", e.op("Cast", "real.numbers", [real], { to: 1 }), [-1, 1]),
    batched: e.concat("shape.batched", [shape, e.int64([-1])], 0),
  };
}
