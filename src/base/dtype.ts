/** Element types by the names torch and numpy use, their sizes in bytes, and the typed array that views them. */

export const dtypeSizes = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint64: 8,
  uint32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1,
} as const;

export type DType = keyof typeof dtypeSizes;

export const dtypes = Object.keys(dtypeSizes) as readonly DType[];

export function isDType(name: string): name is DType {
  return Object.hasOwn(dtypeSizes, name);
}

/** Elements in a tensor of that shape; 1 for rank 0. NaN-free for safe integers only: callers bound hostile shapes first. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}
