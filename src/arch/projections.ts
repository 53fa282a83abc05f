/** Ways from an attention's input to its queries, keys and values. */
import type { Value } from "../graph/ir.ts";
import type { Emitter } from "./emitter.ts";
import type { Norm } from "./norms.ts";
import { type Heads, type Projected, project } from "./self-attention.ts";

/** Where an attention is, and how its heads are cut. */
export interface AttentionPlace {
  readonly layer: number;
  readonly path: string;
  readonly heads: Heads;
}

/** Writes projections of rows [r, hidden]; their outputs are the components query_output, key_output, value_output. */
export type Projections = (e: Emitter, place: AttentionPlace, x: Value) => Projected;

/** q_proj, k_proj, v_proj. */
export function separate(bias: boolean): Projections {
  return (e, { layer, path, heads }, x) => {
    const paths = { query: `${path}.q_proj`, key: `${path}.k_proj`, value: `${path}.v_proj` };
    return project(e, layer, heads, paths, bias, x);
  };
}

/** Queries and keys normalised by q_norm and k_norm: each head by itself, or all heads at once. */
export function normalised(projections: Projections, norm: Norm, over: "head" | "all"): Projections {
  return (e, place, x) => {
    const { query, key, value } = projections(e, place, x);
    const normed = (name: string, rows: Value, count: number): Value => {
      const path = `${place.path}.${name}`;
      const size = over === "head" ? place.heads.headSize : count * place.heads.headSize;
      const cut = e.reshape(`${path}.input`, rows, [-1, (count * place.heads.headSize) / size, size]);
      const output = e.reshape(`${path}.output`, norm(e, `${path}.cut`, path, cut, size), [
        -1,
        count * place.heads.headSize,
      ]);
      e.module(path, "output", output, count * place.heads.headSize);
      return output;
    };
    return {
      query: normed("q_norm", query, place.heads.heads),
      key: normed("k_norm", key, place.heads.kvHeads),
      value,
    };
  };
}

/** Queries, keys and values no larger than `limit` either way. */
export function clipped(projections: Projections, limit: number): Projections {
  return (e, place, x) => {
    const { query, key, value } = projections(e, place, x);
    const clip = (name: string, rows: Value) =>
      e.op("Clip", `${place.path}.${name}.clipped`, [rows, e.scalar(-limit), e.scalar(limit)]);
    return { query: clip("query", query), key: clip("key", key), value: clip("value", value) };
  };
}
