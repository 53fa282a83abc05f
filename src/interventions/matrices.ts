/** Plain-JS matrix maths in float64: for the kinds' reference answers, and for how their tensors begin. */
import { elementCount } from "../base/dtype.ts";
import type { Random } from "../base/rng.ts";
import type { Initial, Matrix } from "./kind.ts";

/** x M for a row x of M.rows numbers. */
export function times(x: Float64Array, matrix: Matrix): Float64Array {
  const out = new Float64Array(matrix.columns);
  for (let r = 0; r < matrix.rows; r++) {
    for (let c = 0; c < matrix.columns; c++) out[c]! += x[r]! * matrix.values[r * matrix.columns + c]!;
  }
  return out;
}

/** x M' for a row x of M.columns numbers. */
export function timesTransposed(x: Float64Array, matrix: Matrix): Float64Array {
  const out = new Float64Array(matrix.rows);
  for (let r = 0; r < matrix.rows; r++) {
    for (let c = 0; c < matrix.columns; c++) out[r]! += x[c]! * matrix.values[r * matrix.columns + c]!;
  }
  return out;
}

export function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!);
}

export function minus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value - b[i]!);
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Every number the same. */
export function filled(value: number): Initial {
  return (shape) => new Float32Array(elementCount(shape)).fill(value);
}

/** Uniform within one over the root of the last size: torch's Linear begins so. */
export const uniformByFanIn: Initial = (shape, random) => {
  const bound = 1 / Math.sqrt(shape.at(-1)!);
  return filled(0)(shape, random).map(() => (2 * random.uniform() - 1) * bound);
};

/** Beyond this many multiplications random columns are not orthogonalised; the basis begins as the site's own. */
const MOST_WORK = 4e9;

/** [n, k] orthonormal columns: random ones, or the first k of the identity where that would take minutes. */
export const orthonormal: Initial = ([n = 1, k = 1], random) => {
  const columns = n * k * k > MOST_WORK ? unitColumns(n, k) : randomColumns(n, k, random);
  const out = new Float32Array(n * k);
  columns.forEach((column, c) => {
    for (let r = 0; r < n; r++) out[r * k + c] = column[r]!;
  });
  return out;
};

function unitColumns(n: number, k: number): Float64Array[] {
  return Array.from({ length: k }, (_, c) => new Float64Array(n).fill(1, c, c + 1));
}

/** Modified Gram-Schmidt, twice, over normal columns. */
function randomColumns(n: number, k: number, random: Random): Float64Array[] {
  const done: Float64Array[] = [];
  for (let c = 0; c < k; c++) {
    const column = Float64Array.from({ length: n }, () => random.normal());
    for (let pass = 0; pass < 2; pass++) for (const other of done) subtractProjection(column, other);
    const norm = Math.sqrt(dot(column, column));
    done.push(column.map((value) => value / norm));
  }
  return done;
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** column -= (column . unit) unit, in place. */
export function subtractProjection(column: Float64Array, unit: Float64Array): void {
  const share = dot(column, unit);
  for (let i = 0; i < column.length; i++) column[i]! -= share * unit[i]!;
}
