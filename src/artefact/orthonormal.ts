/** Matrices with orthonormal columns: completed to a base for torch's parametrisation, and checked for being what they should. */
import { dtypeSizes } from "../base/dtype.ts";
import { Tensor } from "../base/tensor.ts";
import { addMultiple, emptyMatrix, type Matrix, matrixOf, tensorOfMatrix } from "./matrix.ts";

/**
 * What torch's orthogonal parametrisation stores for a weight W [n, k]: X = -I [n, k], and B = [W | orthonormal complement]
 * [n, n], of which W's columns are W's own bits. Both in W's dtype.
 */
export function orthogonalState(weight: Tensor): { original: Tensor; base: Tensor } {
  const [n, k] = weight.shape as [number, number];
  const x = emptyMatrix(n, k);
  for (let i = 0; i < k; i++) x.values[i * k + i] = -1;
  const complement = tensorOfMatrix(complementOf(matrixOf(weight)), weight.dtype);
  return { original: tensorOfMatrix(x, weight.dtype), base: sideBySide(weight, complement) };
}

function sideBySide(left: Tensor, right: Tensor): Tensor {
  const [n, k] = left.shape as [number, number];
  const [own, other] = [k * dtypeSizes[left.dtype], (n - k) * dtypeSizes[left.dtype]];
  const bytes = new Uint8Array(n * (own + other));
  for (let i = 0; i < n; i++) {
    bytes.set(left.bytes.subarray(i * own, (i + 1) * own), i * (own + other));
    bytes.set(right.bytes.subarray(i * other, (i + 1) * other), i * (own + other) + own);
  }
  return new Tensor(left.dtype, [n, n], bytes);
}

/** n - k orthonormal columns orthogonal to W's: the last ones of the product of the reflectors that triangularise W. O(n^2 k). */
function complementOf(w: Matrix): Matrix {
  const { rows: n, columns: k } = w;
  const rest = emptyMatrix(n, n - k);
  for (let j = k; j < n; j++) rest.values[j * (n - k) + (j - k)] = 1;
  if (n === k) return rest;
  const reflectors = triangularise({ ...w, values: Float64Array.from(w.values) });
  for (let j = k - 1; j >= 0; j--) reflect(rest, reflectors[j]!, j, 0);
  return rest;
}

/** Householder vectors of length sqrt 2, the j-th from row j on; `w` is overwritten. */
function triangularise(w: Matrix): Float64Array[] {
  const { rows: n, columns: k, values } = w;
  return Array.from({ length: k }, (_, j) => {
    const v = Float64Array.from({ length: n - j }, (_, i) => values[(j + i) * k + j]!);
    v[0]! += Math.sign(v[0]! || 1) * norm(v);
    const length = norm(v) || 1;
    for (let i = 0; i < v.length; i++) v[i]! *= Math.SQRT2 / length;
    reflect(w, v, j, j);
    return v;
  });
}

function norm(v: Float64Array): number {
  return Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
}

/** m -= v (v' m) on rows from `row` and columns from `column` on. */
function reflect({ columns, values }: Matrix, v: Float64Array, row: number, column: number): void {
  const dots = new Float64Array(columns - column);
  for (let i = 0; i < v.length; i++) addMultiple(dots, v[i]!, values, (row + i) * columns + column);
  for (let i = 0; i < v.length; i++) {
    const at = (row + i) * columns;
    addMultiple(values.subarray(at + column, at + columns), -v[i]!, dots, 0);
  }
}

/** Multiplications that checking one matrix may take, and columns that are compared with all others beyond that. */
const EXACT_UP_TO = 2 ** 27;
const SAMPLED = 16;

/**
 * How far a matrix's columns [n, k] are from orthonormal: the largest deviation of their products from 0 and of their squared
 * lengths from 1. Of large matrices all lengths, and the products of some columns, spread evenly, with all others.
 */
export function orthonormalityError(weight: Tensor): number {
  const { rows: n, columns: k, values } = matrixOf(weight);
  const stride = n * k * k <= EXACT_UP_TO ? 1 : Math.ceil(k / SAMPLED);
  let worst = 0;
  for (let column = 0; column < k; column += stride) {
    const products = new Float64Array(k);
    for (let i = 0; i < n; i++) addMultiple(products, values[i * k + column]!, values, i * k);
    products[column]! -= 1;
    worst = products.reduce((most, value) => Math.max(most, Math.abs(value)), worst);
  }
  return squaredLengths({ rows: n, columns: k, values }).reduce((most, l) => Math.max(most, Math.abs(l - 1)), worst);
}

function squaredLengths({ rows, columns, values }: Matrix): Float64Array {
  const lengths = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) lengths[j]! += values[i * columns + j]! ** 2;
  }
  return lengths;
}
