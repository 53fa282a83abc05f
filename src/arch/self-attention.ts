/** Self-attention with a cache as most families have it: projections, attention over past and present, projection back. */
import type { Value } from "../graph/ir.ts";
import { cachedAttention, type DecoderInputs, io } from "./decoder.ts";
import type { Emitter } from "./emitter.ts";
import { framed } from "./framed.ts";
import { type Rotation, rotate } from "./rotary.ts";

/** How a family's heads are cut. */
export interface Heads {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Rows [r, heads x size] of each. */
export interface Projected {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/** Paths of three Linear layers. */
export type ProjectionPaths = Readonly<Record<keyof Projected, string>>;

/** Three Linear layers; their outputs are query_output, key_output and value_output, and the same head by head. */
export function project(
  e: Emitter,
  layer: number,
  h: Heads,
  paths: ProjectionPaths,
  bias: boolean,
  x: Value,
): Projected {
  const one = (side: keyof Projected, count: number): Value => {
    const width = count * h.headSize;
    const rows = e.dense(paths[side], x, h.hiddenSize, width, { bias });
    return projectedSide(e, layer, side, rows, { count, size: h.headSize });
  };
  return { query: one("query", h.heads), key: one("key", h.kvHeads), value: one("value", h.kvHeads) };
}

/** Rows [r, count x size] as query_output, key_output or value_output, and the same head by head. */
export function projectedSide(
  e: Emitter,
  layer: number,
  side: keyof Projected,
  rows: Value,
  heads: { readonly count: number; readonly size: number },
): Value {
  const width = heads.count * heads.size;
  const named = e.component(layer, `${side}_output`, rows, width);
  e.alias(layer, `head_${side}_output`, named, width, heads);
  return named;
}

/** The widths of queries, keys and values. */
export function sideWidths({ heads, kvHeads, headSize }: Heads): readonly [number, number, number] {
  return [heads * headSize, kvHeads * headSize, kvHeads * headSize];
}

/** Rows that hold all queries, then all keys, then all values, taken apart. */
export function unpacked(e: Emitter, layer: number, h: Heads, path: string, rows: Value): Projected {
  const counts = { query: h.heads, key: h.kvHeads, value: h.kvHeads };
  const names = Object.keys(counts).map((side) => `${path}.${side}`);
  const [query, key, value] = e.split(names, rows, sideWidths(h), 1) as readonly [Value, Value, Value];
  const one = (side: keyof Projected, part: Value) =>
    projectedSide(e, layer, side, part, { count: counts[side], size: h.headSize });
  return { query: one("query", query), key: one("key", key), value: one("value", value) };
}

/** The heads' outputs side by side, [r, heads x size], as attention_value_output. */
export function headOutputs(e: Emitter, layer: number, { heads, headSize }: Heads, context: Value): Value {
  const width = heads * headSize;
  const perHead = e.component(layer, "attention_value_output", context, width);
  e.alias(layer, "head_attention_value_output", perHead, width, { count: heads, size: headSize });
  return perHead;
}

export interface SelfAttention {
  /** The attention module, whose sides are attention_input and attention_output. */
  readonly path: string;
  readonly heads: Heads;
  readonly project: (x: Value) => Projected;
  readonly rotation?: Rotation;
  readonly scale: number;
  /** Tokens that a query sees, itself included, if not all. */
  readonly window?: number | undefined;
  /** Scores s become cap x tanh(s / cap). */
  readonly cap?: number | undefined;
  /** The projection back. */
  readonly out: { readonly path: string; readonly bias: boolean; readonly inFirst?: boolean };
}

/** Rows [r, hidden] to rows [r, hidden]. */
export function selfAttention(e: Emitter, layer: number, a: SelfAttention, inputs: DecoderInputs, x: Value): Value {
  const { heads, kvHeads, headSize, hiddenSize } = a.heads;
  const batched = (name: string, rows: Value) => e.reshape(name, rows, inputs.batched);
  const placed = (name: string, rows: Value, count: number) =>
    a.rotation === undefined
      ? batched(name, rows)
      : rotate(e, name, batched(`${name}.unrotated`, rows), a.rotation, count);
  return framed(e, "attention", { layer, path: a.path, width: hiddenSize }, x, (input) => {
    const { query, key, value } = a.project(input);
    const context = cachedAttention(e, {
      layer,
      query: placed(`${a.path}.query.batched`, query, heads),
      key: placed(io.stepKey(layer), key, kvHeads),
      value: batched(io.stepValue(layer), value),
      heads,
      kvHeads,
      size: headSize,
      scale: a.scale,
      cap: a.cap,
      mask: inputs.maskOf(a.window),
    });
    const perHead = headOutputs(e, layer, a.heads, context);
    return e.dense(a.out.path, perHead, heads * headSize, hiddenSize, a.out);
  });
}
