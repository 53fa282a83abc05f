/** LLaMA in plain JavaScript and float64, written from the papers: the second, independent answer to the compiled graphs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readTensors } from "./fixtures.ts";

export interface PlainConfig {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
  readonly rope_parameters: Readonly<Record<string, number | string>>;
}

export interface PlainLlama {
  readonly config: PlainConfig;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

type Rows = Float64Array[];

/** Called with each component's values, one row per position, which it may change in place. */
export type Hook = (layer: number, component: string, rows: Rows) => void;

export async function readPlainLlama(folder: string): Promise<PlainLlama> {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as PlainConfig;
  const tensors = await readTensors(join(folder, "model.safetensors"));
  return { config, weights: new Map([...tensors].map(([name, tensor]) => [name, tensor.toFloat32()])) };
}

/** Logits of every position of one row of token ids. */
export function plainForward(
  { config: c, weights }: PlainLlama,
  ids: readonly number[],
  hook: Hook = () => undefined,
): Rows {
  const weight = (name: string) => {
    const found = weights.get(name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  };
  const linear = (rows: Rows, path: string): Rows => {
    const matrix = weight(`${path}.weight`);
    const bias = weights.get(`${path}.bias`);
    return rows.map((row) => {
      const out = new Float64Array(matrix.length / row.length);
      for (let o = 0; o < out.length; o++) out[o] = (bias?.[o] ?? 0) + dot(row, matrix, o * row.length);
      return out;
    });
  };
  const norm = (rows: Rows, path: string): Rows => {
    const scale = weight(`${path}.weight`);
    return rows.map((row) => {
      const factor = 1 / Math.sqrt(dot(row, row, 0) / row.length + c.rms_norm_eps);
      return row.map((value, i) => value * factor * scale[i]!);
    });
  };
  const hooked = (layer: number, component: string, rows: Rows): Rows => {
    hook(layer, component, rows);
    return rows;
  };
  const embedding = weight("model.embed_tokens.weight");
  let hidden: Rows = ids.map((id) =>
    Float64Array.from(embedding.subarray(id * c.hidden_size, (id + 1) * c.hidden_size)),
  );
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const at = (component: string, rows: Rows) => hooked(layer, component, rows);
    const input = at(
      "block_input",
      hidden.map((row) => row.slice()),
    );
    const normed = at("attention_input", norm(input, `${path}.input_layernorm`));
    const heads = attention(c, {
      query: at("query_output", linear(normed, `${path}.self_attn.q_proj`)),
      key: at("key_output", linear(normed, `${path}.self_attn.k_proj`)),
      value: at("value_output", linear(normed, `${path}.self_attn.v_proj`)),
    });
    const mixed = linear(at("attention_value_output", heads), `${path}.self_attn.o_proj`);
    const attended = sum(input, at("attention_output", mixed));
    const second = at("mlp_input", norm(attended, `${path}.post_attention_layernorm`));
    const gate = linear(second, `${path}.mlp.gate_proj`).map((row) =>
      row.map((value) => value / (1 + Math.exp(-value))),
    );
    const activation = at("mlp_activation", gate);
    const up = linear(second, `${path}.mlp.up_proj`);
    const product = activation.map((row, r) => row.map((value, i) => value * up[r]![i]!));
    hidden = at("block_output", sum(attended, at("mlp_output", linear(product, `${path}.mlp.down_proj`))));
  }
  const head = c.tie_word_embeddings ? "model.embed_tokens" : "lm_head";
  return linear(norm(hidden, "model.norm"), head);
}

/** Greedy continuation by running everything anew for each token. */
export function plainGreedy(model: PlainLlama, prompt: readonly number[], count: number, hook?: Hook): number[] {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const last = plainForward(model, ids, hook).at(-1)!;
    ids.push(last.indexOf(last.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)));
  }
  return ids.slice(prompt.length);
}

function dot(row: ArrayLike<number>, matrix: ArrayLike<number>, start: number): number {
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i]! * matrix[start + i]!;
  return total;
}

function sum(a: Rows, b: Rows): Rows {
  return a.map((row, r) => row.map((value, i) => value + b[r]![i]!));
}

/** Causal grouped-query attention with rotary positions; rows of all heads' outputs side by side. */
function attention(c: PlainConfig, { query, key, value }: { query: Rows; key: Rows; value: Rows }): Rows {
  const size = c.head_dim;
  const shared = c.num_attention_heads / c.num_key_value_heads;
  const frequencies = inverseFrequencies(c);
  const headOf = (row: Float64Array, head: number) => row.subarray(head * size, (head + 1) * size);
  const turned = (row: Float64Array, head: number, position: number) =>
    rotated(headOf(row, head), position, frequencies);
  return query.map((queries, position) => {
    const out = new Float64Array(c.num_attention_heads * size);
    for (let head = 0; head < c.num_attention_heads; head++) {
      const group = Math.floor(head / shared);
      const q = turned(queries, head, position);
      const scores = key.slice(0, position + 1).map((keys, p) => dot(q, turned(keys, group, p), 0) / Math.sqrt(size));
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((all, one) => all + one, 0);
      weights.forEach((share, p) => {
        const v = headOf(value[p]!, group);
        for (let i = 0; i < size; i++) out[head * size + i]! += (share / total) * v[i]!;
      });
    }
    return out;
  });
}

/** Pairs (i, i + size / 2) turn by position times frequency i. */
function rotated(head: Float64Array, position: number, frequencies: readonly number[]): Float64Array {
  const half = head.length / 2;
  const out = new Float64Array(head.length);
  frequencies.forEach((frequency, i) => {
    const [cos, sin] = [Math.cos(position * frequency), Math.sin(position * frequency)];
    out[i] = head[i]! * cos - head[i + half]! * sin;
    out[i + half] = head[i + half]! * cos + head[i]! * sin;
  });
  return out;
}

function inverseFrequencies(c: PlainConfig): number[] {
  const p = c.rope_parameters;
  const get = (key: string) => p[key] as number;
  const plain = Array.from({ length: c.head_dim / 2 }, (_, i) => get("rope_theta") ** ((-2 * i) / c.head_dim));
  if (p["rope_type"] === "linear") return plain.map((f) => f / get("factor"));
  if (p["rope_type"] !== "llama3") return plain;
  return plain.map((f) => {
    const turns = (get("original_max_position_embeddings") * f) / (2 * Math.PI);
    if (turns < get("low_freq_factor")) return f / get("factor");
    if (turns > get("high_freq_factor")) return f;
    const share = (turns - get("low_freq_factor")) / (get("high_freq_factor") - get("low_freq_factor"));
    return share * f + ((1 - share) * f) / get("factor");
  });
}
