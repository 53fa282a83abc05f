/** Byte grouping by 4: all first bytes of each group of four, then all second, third and fourth ones (kinder to LZ4 for float32). */

/** Undoes the grouping. A length that is no multiple of 4 leaves the first groups one byte longer. */
export function ungroupBytes(grouped: Uint8Array): Uint8Array {
  const out = new Uint8Array(grouped.length);
  let from = 0;
  for (let lane = 0; lane < 4; lane++) {
    for (let to = lane; to < out.length; to += 4) out[to] = grouped[from++]!;
  }
  return out;
}
