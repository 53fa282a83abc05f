/** One chunk of a xorb: 8 header bytes (version, u24 stored size, scheme, u24 raw size; little-endian), then the stored bytes. */
import { ungroupBytes } from "./byte-groups.ts";
import { invalidXet } from "./invalid.ts";
import { decodeLz4Frame } from "./lz4.ts";

export const CHUNK_HEADER_BYTES = 8;
const MAX_RAW_BYTES = 128 * 1024;

type Scheme = 0 | 1 | 2;

export interface ChunkHeader {
  /** Bytes that follow the header. */
  stored: number;
  /** Bytes after decoding, at most 128 KiB. */
  raw: number;
  scheme: Scheme;
}

const decoders = {
  0: (payload: Uint8Array) => payload,
  1: decodeLz4Frame,
  2: (payload: Uint8Array, size: number) => ungroupBytes(decodeLz4Frame(payload, size)),
} satisfies { [S in Scheme]: (payload: Uint8Array, size: number) => Uint8Array };

/** Checks the header's 8 bytes. Encoders store raw what LZ4 cannot shrink, so `stored` never exceeds `raw`. */
export function readChunkHeader(bytes: Uint8Array): ChunkHeader {
  const [version, scheme, stored, raw] = [bytes[0]!, bytes[4]!, u24(bytes, 1), u24(bytes, 5)];
  if (version !== 0) throw invalidXet(`chunk version ${version}, expected 0`);
  if (scheme !== 0 && scheme !== 1 && scheme !== 2)
    throw invalidXet(`chunk compression scheme ${scheme}, expected 0, 1 or 2`);
  if (raw === 0 || raw > MAX_RAW_BYTES) throw invalidXet(`chunk of ${raw} raw bytes, expected 1 to ${MAX_RAW_BYTES}`);
  if (stored === 0 || stored > raw) throw invalidXet(`chunk of ${stored} stored and ${raw} raw bytes`);
  if (scheme === 0 && stored !== raw) throw invalidXet(`uncompressed chunk of ${stored} stored and ${raw} raw bytes`);
  return { stored, raw, scheme };
}

/** The raw bytes of a chunk: exactly `header.raw` of them from exactly `header.stored`. */
export function decodeChunk(header: ChunkHeader, payload: Uint8Array): Uint8Array {
  return decoders[header.scheme](payload, header.raw);
}

function u24(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
}
