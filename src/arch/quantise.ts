/** Quantises rows of weights in blocks: integers around a middle, one float32 scale per block, as onnxruntime's MatMulNBits reads them. */

/** Weights that share a scale. */
export const BLOCK = 32;

/** Bits per weight. */
export type Bits = 4 | 8;

export interface QuantisedRows {
  /** uint8 [rows, blocks, BLOCK x bits / 8]; of two 4-bit codes in a byte the first is the lower one. */
  readonly codes: Uint8Array;
  /** [rows, blocks]. A weight is scale x (code - 2^(bits - 1)). */
  readonly scales: Float32Array;
}

export function blocksOf(columns: number): number {
  return Math.ceil(columns / BLOCK);
}

export function blockBytes(bits: Bits): number {
  return (BLOCK * bits) / 8;
}

/**
 * Rows of `columns` finite weights each, row after row. Columns that are missing from a row's last block count as zero.
 *
 * The weight of largest magnitude in a block gets the lowest code, whose magnitude is the largest there is, so that its sign
 * decides the scale's (llama.cpp's Q4_0 and onnxruntime's own quantiser do the same). No weight is off by more than one scale.
 */
export function quantiseRows(values: Float32Array, columns: number, bits: Bits): QuantisedRows {
  const rows = values.length / columns;
  const blocks = blocksOf(columns);
  const scales = new Float32Array(rows * blocks);
  const codes = new Uint8Array(rows * blocks * blockBytes(bits));
  const block = new Uint8Array(BLOCK);
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const start = row * columns + b * BLOCK;
      const at = row * blocks + b;
      scales[at] = quantiseBlock(values, start, Math.min(start + BLOCK, (row + 1) * columns), bits, block);
      pack[bits](block, codes, at * blockBytes(bits));
    }
  }
  return { codes, scales };
}

/** Codes of values [start, end) into `out`; returns the scale. */
function quantiseBlock(values: Float32Array, start: number, end: number, bits: Bits, out: Uint8Array): number {
  const middle = 2 ** (bits - 1);
  let extreme = 0;
  for (let i = start; i < end; i++) {
    if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  }
  const scale = extreme === 0 ? 0 : Math.fround(extreme / -middle);
  const inverse = scale === 0 ? 0 : 1 / scale;
  out.fill(middle);
  for (let i = start; i < end; i++) {
    // Below the lowest code, too: a scale that is barely a number is coarse itself.
    const code = Math.floor(values[i]! * inverse + 0.5) + middle;
    out[i - start] = Math.max(0, Math.min(2 * middle - 1, code));
  }
  return scale;
}

const pack = {
  4: (block: Uint8Array, codes: Uint8Array, at: number): void => {
    for (let i = 0; i < BLOCK; i += 2) codes[at + i / 2] = block[i]! | (block[i + 1]! << 4);
  },
  8: (block: Uint8Array, codes: Uint8Array, at: number): void => codes.set(block, at),
} as const satisfies { readonly [B in Bits]: (block: Uint8Array, codes: Uint8Array, at: number) => void };
