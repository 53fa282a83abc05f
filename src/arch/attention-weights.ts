/** Attention weights as a value to read, beside the fused attention op that does the work: pyvene's attention_weight. */
import type { Value } from "../graph/ir.ts";
import type { Emitter } from "./emitter.ts";

/** One layer's attention, as a family describes it. */
export interface CachedAttention {
  readonly layer: number;
  /** [b, s, heads x size], rotated where the family rotates */
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly scale: number;
  /** Scores s become cap x tanh(s / cap) before the mask (Gemma 2). */
  readonly cap?: number | undefined;
  readonly mask: Value;
}

/** Low enough that a softmax gives exactly 0, finite so that no row turns into NaN. */
const MASKED = -1e30;

/** The value's name; the graph has it only when compiled for that layer. */
export function attentionWeightName(layer: number): string {
  return `layers.${layer}.attention_weight`;
}

/** The layer whose attention weights a value name means. */
export function layerOfAttentionWeight(name: string): number | undefined {
  const found = /^layers\.(\d+)\.attention_weight$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

/**
 * softmax(capped(scale q k') + mask) as rows [r, heads x total], after `keys` [b, total, kvHeads x size] were put together. With
 * grouped heads the order is that of the query heads.
 */
export function emitAttentionWeights(e: Emitter, a: CachedAttention, keys: Value): Value {
  const name = attentionWeightName(a.layer);
  const group = a.heads / a.kvHeads;
  const query = e.reshape(`${name}.query`, a.query, [0, 0, a.kvHeads, group, a.size]);
  const byHead = e.op("Transpose", `${name}.query.heads`, [query], { perm: [0, 2, 3, 1, 4] });
  const key = e.reshape(`${name}.key`, keys, [0, 0, a.kvHeads, 1, a.size]);
  const columns = e.op("Transpose", `${name}.key.columns`, [key], { perm: [0, 2, 3, 4, 1] });
  const scaled = e.mul(`${name}.scaled`, e.matmul(`${name}.scores`, byHead, columns), e.scalar(a.scale));
  const scores = a.cap === undefined ? scaled : e.softCap(`${name}.capped`, scaled, a.cap);
  const mask = e.op("Unsqueeze", `${name}.mask`, [a.mask, e.int64([2])], {}, "bool");
  const masked = e.op("Where", `${name}.masked`, [mask, scores, e.scalar(MASKED)]);
  const weights = e.op("Softmax", `${name}.softmax`, [masked], { axis: -1 });
  const byRow = e.op("Transpose", `${name}.positions`, [weights], { perm: [0, 3, 1, 2, 4] });
  return e.op("Flatten", name, [byRow], { axis: 2 });
}
