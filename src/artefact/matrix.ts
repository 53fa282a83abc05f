/** Dense matrices in double precision, and products of large ones through an engine that the caller brings. */
import { bytesOf, Tensor } from "../base/tensor.ts";

/** Row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** Multiplies [rows, inner] by [inner, columns], row-major; onnxruntime does it a hundred times as fast as a loop. */
export type Multiply = (
  a: Float32Array,
  b: Float32Array,
  sizes: { readonly rows: number; readonly inner: number; readonly columns: number },
) => Promise<Float32Array>;

/** Products of more multiplications than this (256 cubed) are the engine's; smaller ones stay in double precision. */
const ENGINE_FROM = 256 ** 3;

export function matrixOf(tensor: Tensor): Matrix {
  const [rows = 1, columns = 1] = tensor.shape;
  return { rows, columns, values: Float64Array.from(tensor.toFloat32()) };
}

export function emptyMatrix(rows: number, columns: number): Matrix {
  return { rows, columns, values: new Float64Array(rows * columns) };
}

/** The matrix in a dtype; what is neither float64, float16 nor bfloat16 becomes float32. */
export function tensorOfMatrix({ rows, columns, values }: Matrix, dtype: Tensor["dtype"]): Tensor {
  const shape = [rows, columns];
  if (dtype === "float64") return new Tensor("float64", shape, bytesOf(values));
  const tensor = Tensor.float32(shape, Float32Array.from(values));
  return dtype === "float16" || dtype === "bfloat16" ? tensor.to(dtype) : tensor;
}

/** a b. Without an engine, large products are slow rather than impossible. */
export async function product(a: Matrix, b: Matrix, multiply: Multiply | undefined): Promise<Matrix> {
  const [rows, inner, columns] = [a.rows, a.columns, b.columns];
  if (multiply === undefined || rows * inner * columns <= ENGINE_FROM) return smallProduct(a, b);
  const values = await multiply(Float32Array.from(a.values), Float32Array.from(b.values), { rows, inner, columns });
  return { rows, columns, values: Float64Array.from(values) };
}

function smallProduct(a: Matrix, b: Matrix): Matrix {
  const out = emptyMatrix(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++) {
    const row = out.values.subarray(i * b.columns, (i + 1) * b.columns);
    for (let j = 0; j < a.columns; j++) {
      const factor = a.values[i * a.columns + j]!;
      if (factor !== 0) addMultiple(row, factor, b.values, j * b.columns);
    }
  }
  return out;
}

/** row += factor x values[from, from + row.length) */
export function addMultiple(row: Float64Array, factor: number, values: Float64Array, from: number): void {
  for (let i = 0; i < row.length; i++) row[i]! += factor * values[from + i]!;
}

export function transposed({ rows, columns, values }: Matrix): Matrix {
  const out = emptyMatrix(columns, rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out.values[j * rows + i] = values[i * columns + j]!;
  }
  return out;
}

/** The sum of factors times matrices of one shape. */
export function combination(...terms: readonly (readonly [factor: number, matrix: Matrix])[]): Matrix {
  const [, first] = terms[0]!;
  const out = emptyMatrix(first.rows, first.columns);
  for (const [factor, { values }] of terms) addMultiple(out.values, factor, values, 0);
  return out;
}
