/** The frame of every decoder-only graph: its inputs, its cache, its logits. Families fill in the blocks. */
import { Float, type Graph, type Value } from "../graph/ir.ts";
import { attentionWeightName, type CachedAttention, emitAttentionWeights } from "./attention-weights.ts";
import type { Emitter } from "./emitter.ts";

/** Names of graph inputs and outputs, known to the runtime. b = batch, s = step length, p = past length, r = b x s rows. */
export const io = {
  /** int64 [b, s] */
  inputIds: "input_ids",
  /** int64 [b, s], counted from each row's first real token */
  positionIds: "position_ids",
  /** bool [b, 1, s, p + s], true where a query may look */
  attentionMask: "attention_mask",
  /** The same for layers that see only so many tokens back, themselves included */
  windowMask: (window: number) => `attention_mask.window.${window}`,
  /** bool [b, s], true for real tokens */
  tokenMask: "token_mask",
  /** int64 [b, p + s], 1 for real tokens, past ones included: what exporters call attention_mask */
  realTokens: "real_tokens",
  /** int64 [k]: rows of the flattened [r] whose logits are wanted */
  logitRows: "logit_rows",
  /** float32 [k, vocabulary] */
  logits: "logits",
  /** float32 [b, p, width]: keys (after rotation) and values of earlier tokens, time-major */
  pastKey: (layer: number) => `past.${layer}.key`,
  pastValue: (layer: number) => `past.${layer}.value`,
  /** float32 [b, s, width]: this step's keys and values only; the runtime appends them */
  stepKey: (layer: number) => `step.${layer}.key`,
  stepValue: (layer: number) => `step.${layer}.value`,
  /** float32 [b, ...shape]: a recurrent state as the tokens before left it, and as this step leaves it */
  pastState: (name: string) => `past.${name}`,
  stepState: (name: string) => `step.${name}`,
} as const;

export interface DecoderInputs {
  /** int64 [r] */
  readonly ids: Value;
  /** int64 [b, s] */
  readonly positions: Value;
  readonly mask: Value;
  /** The mask of layers with that sliding window; `mask` without one. */
  readonly maskOf: (window: number | undefined) => Value;
  /** int64 [3] = b, s, -1: the target shape that turns rows into [b, s, width] */
  readonly batched: Value;
}

/** `windows`: the shape's, each of which has a mask of its own. */
export function decoderInputs(e: Emitter, windows: readonly number[] = []): DecoderInputs {
  const graph = e.graph;
  const inputIds = graph.addInput(io.inputIds, "int64", ["batch", "step"]);
  const positions = graph.addInput(io.positionIds, "int64", ["batch", "step"]);
  const addMask = (name: string) => graph.addInput(name, "bool", ["batch", 1, "step", "total"]);
  const mask = addMask(io.attentionMask);
  const windowed = new Map(windows.map((window) => [window, addMask(io.windowMask(window))]));
  const shape = e.op("Shape", "shape.ids", [inputIds], {}, "int64");
  return {
    ids: e.op("Reshape", "ids", [inputIds, e.int64([-1])], {}, "int64"),
    positions,
    mask,
    maskOf: (window) => (window === undefined ? mask : windowed.get(window)!),
    batched: e.concat("shape.batched", [shape, e.int64([-1])], 0),
  };
}

interface LogitOptions {
  /** [vocabulary] */
  readonly bias?: Value | undefined;
  /** Logits l become cap x tanh(l / cap). */
  readonly cap?: number | undefined;
}

/** Final hidden rows [r, hidden] to logits of the rows asked for. `head` is [vocabulary, hidden]. */
export function decoderLogits(e: Emitter, hidden: Value, head: Value, { bias, cap }: LogitOptions = {}): void {
  const rows = e.graph.addInput(io.logitRows, "int64", ["wanted"]);
  const chosen = e.gatherRows("logit_hidden", hidden, rows);
  const logits = e.head(cap === undefined ? io.logits : `${io.logits}.uncapped`, chosen, head, bias);
  e.graph.addOutput(cap === undefined ? logits : e.softCap(io.logits, logits, cap));
}

/** Scaled dot-product attention over past and present; returns the heads' outputs as rows [r, heads x size]. */
export function cachedAttention(e: Emitter, a: CachedAttention): Value {
  const width = a.kvHeads * a.size;
  e.sites.addComponent(a.layer, "attention_weight", {
    value: attentionWeightName(a.layer),
    width: 0,
    attention: { heads: a.heads },
  });
  const keys = withPast(e, e.graph, io.pastKey(a.layer), a.key, width);
  const values = withPast(e, e.graph, io.pastValue(a.layer), a.value, width);
  if (e.options.attentionWeights.has(a.layer)) emitAttentionWeights(e, a, keys);
  const name = `layers.${a.layer}.attention`;
  const context = e.op("Attention", name, [a.query, keys, values, a.mask], {
    q_num_heads: a.heads,
    kv_num_heads: a.kvHeads,
    scale: new Float(a.scale),
    ...(a.cap === undefined ? {} : { softcap: new Float(a.cap) }),
  });
  return e.reshape(`${name}.rows`, context, [-1, a.heads * a.size]);
}

function withPast(e: Emitter, graph: Graph, name: string, present: Value, width: number): Value {
  const past = graph.addInput(name, "float32", ["batch", "past", width]);
  graph.addOutput(present);
  return e.concat(`${name}.full`, [past, present], 1);
}
