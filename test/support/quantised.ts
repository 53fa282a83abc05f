/** Quantising written from the format's description, and checkpoints whose Linear layers are rounded that way. */
import { Tensor } from "../../src/base/tensor.ts";

export interface QuantisedReference {
  readonly scales: readonly number[];
  readonly bytes: readonly number[];
  /** [rows][columns] */
  readonly weights: readonly (readonly number[])[];
}

/** Written from the description of the format, without looking at the code: one row, block and number at a time. */
export function quantisedReference(rows: readonly (readonly number[])[], bits: 4 | 8): QuantisedReference {
  const [lowest, highest] = bits === 4 ? [-8, 7] : [-128, 127];
  const clamp = (step: number) => Math.max(lowest, Math.min(highest, step));
  const scales: number[] = [];
  const bytes: number[] = [];
  const weights = rows.map((row) => {
    const back: number[] = [];
    for (let start = 0; start < row.length; start += 32) {
      const block = row.slice(start, start + 32);
      const largest = Math.max(...block.map(Math.abs));
      const extreme = block.find((value) => Math.abs(value) === largest)!;
      const scale = largest === 0 ? 0 : Math.fround(extreme / lowest);
      scales.push(scale);
      const steps = block.map((value) => (scale === 0 ? 0 : clamp(Math.floor(value * (1 / scale) + 0.5))));
      back.push(...steps.map((step) => step * scale));
      const codes = [...steps, ...new Array<number>(32 - block.length).fill(0)].map((step) => step - lowest);
      if (bits === 8) bytes.push(...codes);
      else for (let i = 0; i < 32; i += 2) bytes.push(codes[i]! + 16 * codes[i + 1]!);
    }
    return back;
  });
  return { scales, bytes, weights };
}

/** Numbers without a pattern in [-1, 1), the same at every run. */
export function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Linear layers of the tiny fixtures that stay float32: routers, and Mamba's time step. */
const exact = /(\.gate|\.dt_proj)\.weight$/;
const linear = /(proj|fc|attn|w1|w2|w3|dense|lm_head|query_key_value|in_proj|x_proj|fc_in|fc_out|fc1|fc2)\.weight$/;

/** The weight as it is after quantising; `inFirst` as GPT-2 stores it, [in, out]. */
export function rounded(tensor: Tensor, bits: 4 | 8, inFirst = false): Tensor {
  const [outer, inner] = tensor.shape as readonly [number, number];
  const values = tensor.toFloat32();
  const [rows, columns] = inFirst ? [inner, outer] : [outer, inner];
  const at = (row: number, column: number) => (inFirst ? column * rows + row : row * columns + column);
  const matrix = Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => values[at(r, c)]!));
  const out = new Float32Array(values.length);
  quantisedReference(matrix, bits).weights.forEach((row, r) => {
    row.forEach((value, c) => {
      out[at(r, c)] = value;
    });
  });
  return Tensor.float32(tensor.shape, out);
}

/** A checkpoint's tensors rounded to what a dtype makes of them, its head apart from the embedding. */
export function roundedTensors(tensors: Map<string, Tensor>, bits: 4 | 8, embedding: string): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const inFirst = /^transformer\.h\..*\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
    const plain = !linear.test(name) || exact.test(name) || tensor.shape.length !== 2;
    out.set(name, plain ? tensor : rounded(tensor, name === "lm_head.weight" ? 8 : bits, inFirst));
  }
  if (!out.has("lm_head.weight")) out.set("lm_head.weight", rounded(tensors.get(embedding)!, 8));
  return out;
}
