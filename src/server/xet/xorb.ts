/** Xorbs on disk: a run of chunks in one file of at most 64 MiB. Old clients append a footer, which is left unread. */
import type { FileHandle } from "node:fs/promises";
import { CHUNK_HEADER_BYTES, decodeChunk, readChunkHeader } from "./chunk.ts";
import { invalidXet } from "./invalid.ts";

const MAX_CHUNKS = 8 * 1024;
const FOOTER = "XETBLOB";

/** Where each chunk starts, and behind the last one where the chunks end. */
export type XorbIndex = readonly number[];

/** Walks the chunk headers of a whole file. Throws HttpError 400 when they do not add up to its size. */
export async function indexXorb(file: FileHandle, size: number): Promise<XorbIndex> {
  const offsets = [0];
  let at = 0;
  while (at < size) {
    const head = await readExactly(file, at, Math.min(CHUNK_HEADER_BYTES, size - at));
    if (isFooter(head) && at > 0) return offsets;
    if (head.length < CHUNK_HEADER_BYTES)
      throw invalidXet(`xorb ends inside the header of chunk ${offsets.length - 1}`);
    at += CHUNK_HEADER_BYTES + readChunkHeader(head).stored;
    if (at > size) throw invalidXet(`chunk ${offsets.length - 1} runs to byte ${at} of a xorb of ${size}`);
    offsets.push(at);
    if (offsets.length > MAX_CHUNKS + 1) throw invalidXet(`xorb has more than ${MAX_CHUNKS} chunks`);
  }
  if (size === 0) throw invalidXet("xorb is empty");
  return offsets;
}

/** The decoded bytes of chunk `number`, which `index` must have. */
export async function readChunk(file: FileHandle, index: XorbIndex, number: number): Promise<Uint8Array> {
  const start = index[number]!;
  const bytes = await readExactly(file, start, index[number + 1]! - start);
  return decodeChunk(readChunkHeader(bytes), bytes.subarray(CHUNK_HEADER_BYTES));
}

function isFooter(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, FOOTER.length)).toString("latin1") === FOOTER;
}

async function readExactly(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, at);
  if (bytesRead !== length) throw invalidXet(`xorb was cut at byte ${at + bytesRead}`);
  return bytes;
}
