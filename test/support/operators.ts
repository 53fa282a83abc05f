/** Operators in plain JS, block by block: what conformance tests expect of the graph. */
import { Tensor } from "../../src/base/tensor.ts";
import type { Matrix, OperatorKind } from "../../src/interventions/kind.ts";
import { type Kind, kindSpecOf } from "../../src/spec/kinds.ts";
import { randomVector } from "./vectors.ts";

/** Random tensors of a kind, by role, for sizes by symbol. */
export function randomTensors(
  kind: Kind,
  sizes: Readonly<Record<string, number>>,
  seed: number,
): Record<string, Tensor> {
  const { source: _, ...roles } = kindSpecOf(kind).tensors;
  const entries = Object.entries(roles).map(([role, { shape }], i) => {
    const dims = shape
      .slice(1, -1)
      .split(", ")
      .map((symbol) => sizes[symbol] ?? Number(symbol));
    const values = randomVector(
      dims.reduce((size, one) => size * one, 1),
      seed + i,
      0.4,
    );
    // Divisors must not be near zero, and a boundary lies between 0 and 1.
    const tame = role === "std" || role === "boundary" ? values.map((value) => 0.3 + Math.abs(value)) : values;
    return [role, Tensor.float32(dims, tame)] as const;
  });
  return Object.fromEntries(entries);
}

export function matrixOf(tensor: Tensor): Matrix {
  const [rows, columns] = tensor.shape.length === 1 ? [1, tensor.shape[0]!] : (tensor.shape as [number, number]);
  return { rows, columns, values: Float64Array.from(tensor.toFloat32()) };
}

export interface BlockNumbers {
  readonly base: Float32Array;
  readonly source?: Float32Array;
  readonly input?: Float32Array;
  readonly select?: readonly number[];
}

/** base + strength (reference - base). */
export function expectedBlock(
  kind: OperatorKind,
  tensors: Readonly<Record<string, Tensor>>,
  parameters: Readonly<Record<string, unknown>>,
  { base, source, input, select }: BlockNumbers,
  strength: number,
): Float64Array {
  const wide = (values: ArrayLike<number> | undefined) =>
    values === undefined ? undefined : Float64Array.from(values);
  const numbers = Float64Array.from(base);
  const result = kind.reference({
    base: numbers,
    source: wide(source),
    input: wide(input),
    select: wide(select),
    tensors: Object.fromEntries(Object.entries(tensors).map(([role, tensor]) => [role, matrixOf(tensor)])),
    parameters,
  });
  return numbers.map((value, i) => value + strength * (result[i]! - value));
}
