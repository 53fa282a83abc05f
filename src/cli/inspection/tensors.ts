/** What `vene inspect` says about tensors: dtype, shape, norm, range, digest. */
import { createHash } from "node:crypto";
import type { Tensor } from "../../index.ts";

export interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Euclidean norm over all values; null, as the range is, for dtypes without numbers to compute with (float8) and no values. */
  readonly norm: number | null;
  readonly min: number | null;
  readonly max: number | null;
  /** sha256 of the values' bytes, little-endian. */
  readonly sha256: string;
}

/**
 * A describer of tensors that looks at the same bytes once, however many tensors share them: a small torch file can hold a
 * great many views of one large storage.
 */
export function tensorDescriber(): (name: string, tensor: Tensor) => TensorFacts {
  type Facts = Omit<TensorFacts, "name">;
  const seen = new WeakMap<ArrayBufferLike, Map<string, Facts>>();
  return (name, tensor) => {
    const { dtype, shape, bytes } = tensor;
    const views = seen.get(bytes.buffer) ?? new Map<string, Facts>();
    seen.set(bytes.buffer, views);
    const view = `${dtype} ${shape} ${bytes.byteOffset}`;
    const facts = views.get(view) ?? { dtype, shape, ...rangeOf(tensor), sha256: digestOf(bytes) };
    views.set(view, facts);
    return { name, ...facts };
  };
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Reading unknown dtypes as numbers is refused by the tensor; here that is only a fact less. */
const opaque = new Set(["float8_e4m3fn", "float8_e5m2", "uint64", "uint32", "uint16"]);

function rangeOf(tensor: Tensor): Pick<TensorFacts, "norm" | "min" | "max"> {
  if (tensor.size === 0 || opaque.has(tensor.dtype)) return { norm: null, min: null, max: null };
  let squares = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const value of tensor.toFloat32()) {
    squares += value * value;
    // NaN stays in all three.
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { norm: Math.sqrt(squares), min, max };
}
