/** The weight that torch.nn.utils.parametrizations.orthogonal computes from what a state dict holds (trivialisation on). */
import { dtypeSizes } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import {
  combination,
  emptyMatrix,
  type Matrix,
  type Multiply,
  matrixOf,
  product,
  tensorOfMatrix,
  transposed,
} from "./matrix.ts";

/**
 * W [n, k] of X = `original` [n, k] and B = `base` [n, n]. Square: B expm(tril X - tril X'); tall: B times the first k columns
 * of the product of X's Householder reflectors, times the signs on X's diagonal. An X = -I, where training begins and what vene
 * writes, gives B's first columns bit for bit. Throws `artefact-tensor` for other shapes, `tensor-invalid` for a rotation beyond
 * what floating point can tell apart.
 */
export async function orthogonalWeight(original: Tensor, base: Tensor, multiply?: Multiply): Promise<Tensor> {
  const [n = 0, k = 0] = original.shape;
  const fits = original.shape.length === 2 && base.shape.length === 2 && base.shape.every((size) => size === n);
  if (!fits || k > n || k === 0) {
    throw new VeneError(
      "artefact-tensor",
      `an orthogonal parametrisation has original [${original.shape}] and base [${base.shape}], expected [n, k] and [n, n]`,
      { details: { original: original.shape, base: base.shape } },
    );
  }
  const x = matrixOf(original);
  if (isMinusIdentity(x)) return firstColumns(base, k);
  const b = matrixOf(base);
  const weight = n === k ? await turnedByExponential(x, b, multiply) : await turnedByReflectors(x, b, multiply);
  return tensorOfMatrix(weight, base.dtype);
}

/** Whether nothing is left to compute: only the lower triangle counts, and of square ones not even the diagonal. */
function isMinusIdentity({ rows, columns, values }: Matrix): boolean {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < Math.min(i, columns); j++) if (values[i * columns + j] !== 0) return false;
    if (rows !== columns && i < columns && values[i * columns + i] !== -1) return false;
  }
  return true;
}

/** B[:, :k], bits untouched. */
function firstColumns(base: Tensor, k: number): Tensor {
  const n = base.shape[0]!;
  if (k === n) return base;
  const size = dtypeSizes[base.dtype];
  const bytes = new Uint8Array(n * k * size);
  for (let i = 0; i < n; i++) bytes.set(base.bytes.subarray(i * n * size, (i * n + k) * size), i * k * size);
  return new Tensor(base.dtype, [n, k], bytes);
}

/** Largest 1-norm that the polynomial below is exact for, and the most squarings that leave any digits. */
const EASY_NORM = 0.25;
const MAX_SQUARINGS = 26;

/**
 * B expm(A), A = tril X - tril X'. Everything is done on E = expm(A) - I, which is small where A is: then B + B E keeps the
 * digits of B even if products are in single precision.
 */
async function turnedByExponential(x: Matrix, b: Matrix, multiply: Multiply | undefined): Promise<Matrix> {
  const a = skewOf(x);
  const norm = oneNorm(a);
  const squarings = Math.max(0, Math.ceil(Math.log2(norm / EASY_NORM)));
  if (!(squarings <= MAX_SQUARINGS)) {
    throw new VeneError("tensor-invalid", `a rotation turns by up to ${norm}: its angles are beyond floating point`, {
      hint: "the training that made it has diverged",
      details: { norm },
    });
  }
  let e = await exponentialMinusOne(combination([2 ** -squarings, a]), multiply);
  for (let i = 0; i < squarings; i++) e = combination([2, e], [1, await product(e, e, multiply)]);
  return combination([1, b], [1, await product(b, e, multiply)]);
}

function skewOf({ rows, values }: Matrix): Matrix {
  const a = emptyMatrix(rows, rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < i; j++) {
      a.values[i * rows + j] = values[i * rows + j]!;
      a.values[j * rows + i] = -values[i * rows + j]!;
    }
  }
  return a;
}

/** Taylor's polynomial of degree 9 without its 1, in four products. */
async function exponentialMinusOne(a: Matrix, multiply: Multiply | undefined): Promise<Matrix> {
  const a2 = await product(a, a, multiply);
  const a3 = await product(a2, a, multiply);
  const terms = (first: number) => {
    const factorials = [1, 2, 6, 24, 120, 720, 5040, 40320, 362880];
    return combination([1 / factorials[first]!, a], [1 / factorials[first + 1]!, a2], [1 / factorials[first + 2]!, a3]);
  };
  const upper = combination([1, terms(3)], [1, await product(a3, terms(6), multiply)]);
  return combination([1, terms(0)], [1, await product(a3, upper, multiply)]);
}

/** Largest sum of absolute values in a column. */
function oneNorm({ rows, columns, values }: Matrix): number {
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) sums[j]! += Math.abs(values[i * columns + j]!);
  }
  return sums.reduce((most, sum) => Math.max(most, sum), 0);
}

/**
 * B H_1 ... H_k restricted to k columns, times trunc(diag X). With V = the reflectors' vectors and T of their compact form, the
 * product of the reflectors is I - V T V', so this is B's first columns - (B V) (T V'), and again digits of B are kept.
 */
async function turnedByReflectors(x: Matrix, b: Matrix, multiply: Multiply | undefined): Promise<Matrix> {
  const { rows: n, columns: k } = x;
  const v = emptyMatrix(n, k);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= Math.min(i, k - 1); j++) v.values[i * k + j] = i === j ? 1 : x.values[i * k + j]!;
  }
  const gram = await product(transposed(v), v, multiply);
  const top = { rows: k, columns: k, values: v.values.subarray(0, k * k) };
  const mixed = await product(await product(b, v, multiply), solvedBy(gram, transposed(top)), multiply);
  const weight = emptyMatrix(n, k);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < k; j++) {
      const sign = Math.trunc(x.values[j * k + j]!);
      weight.values[i * k + j] = sign * (b.values[i * n + j]! - mixed.values[i * k + j]!);
    }
  }
  return weight;
}

/**
 * T m by back substitution, where T is the inverse of U = strictly upper triangle of V'V plus 1 / tau on the diagonal, and tau =
 * 2 / |v|^2, so that 1 / tau is half of the diagonal of V'V.
 */
function solvedBy({ rows: k, values: gram }: Matrix, m: Matrix): Matrix {
  const out = { ...m, values: Float64Array.from(m.values) };
  for (let i = k - 1; i >= 0; i--) {
    const row = out.values.subarray(i * k, (i + 1) * k);
    for (let j = i + 1; j < k; j++) {
      for (let c = 0; c < k; c++) row[c]! -= gram[i * k + j]! * out.values[j * k + c]!;
    }
    const pivot = gram[i * k + i]! / 2;
    for (let c = 0; c < k; c++) row[c]! /= pivot;
  }
  return out;
}
