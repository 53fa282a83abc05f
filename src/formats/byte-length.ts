/** The size of a tensor that a file claims to hold, computed without trusting the claim. */
import { type DType, dtypeSizes } from "../base/dtype.ts";

/** Bytes of a dense tensor, or undefined where a product on the way leaves the safe integers. */
export function byteLength(dtype: DType, shape: readonly number[]): number | undefined {
  let bytes = 1;
  for (const size of [...shape, dtypeSizes[dtype]]) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}
