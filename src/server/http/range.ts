/** The `Range` header: one range of bytes, as clients that resume and readers of headers send it. */

/** Bytes [start, end). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The range that is asked for; undefined when there is none, or one that HTTP allows to ignore (several ranges, other units,
 * nonsense); "unsatisfiable" when it lies behind the end.
 */
export function readRange(header: string | undefined, size: number): ByteRange | "unsatisfiable" | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
  if (found === null || (found[1] === "" && found[2] === "")) return undefined;
  if (found[1] === "") {
    const length = Math.min(Number(found[2]), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size };
  }
  const start = Number(found[1]);
  const end = found[2] === "" ? size : Math.min(Number(found[2]) + 1, size);
  if (found[2] !== "" && Number(found[2]) < start) return undefined;
  return start >= size ? "unsatisfiable" : { start, end };
}
