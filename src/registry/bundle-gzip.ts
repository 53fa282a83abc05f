/** gzip for bundles: written stored, so that the bytes are the same on every machine; read as one member with nothing after it. */
import { Readable } from "node:stream";
import { crc32, createInflateRaw } from "node:zlib";
import type { ByteSource } from "../base/bytes.ts";
import { messageOf, VeneError } from "../base/errors.ts";

/** RFC 1952: deflate, no flags, no time, no hints, operating system unknown. */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
const TRAILER_BYTES = 8;
const STORED_BYTES = 0xffff;
const CHUNK = 1 << 16;

/** What a bundle may unpack to whatever its size, and how many times its size beyond that. */
const FREE_BYTES = 64 << 20;
const MAX_RATIO = 100;

/**
 * Chunks as one gzip member of stored blocks. What deflate makes of the same bytes differs between versions and builds of zlib,
 * and the vectors of an artefact hardly shrink.
 */
export async function* storedGzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield HEADER;
  let checksum = 0;
  let total = 0;
  let held = Buffer.alloc(0);
  for await (const chunk of chunks) {
    checksum = crc32(chunk, checksum);
    total += chunk.length;
    held = Buffer.concat([held, chunk]);
    for (; held.length > STORED_BYTES; held = held.subarray(STORED_BYTES)) {
      yield storedBlock(held.subarray(0, STORED_BYTES), false);
    }
  }
  yield storedBlock(held, true);
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(total % 2 ** 32, 4);
  yield trailer;
}

/** RFC 1951, 3.2.4. */
function storedBlock(content: Uint8Array, last: boolean): Uint8Array {
  const block = Buffer.alloc(5 + content.length);
  block.writeUInt8(last ? 1 : 0, 0);
  block.writeUInt16LE(content.length, 1);
  block.writeUInt16LE(content.length ^ 0xffff, 3);
  block.set(content, 5);
  return block;
}

/**
 * The content of a file that is one gzip member from its first byte to its last. Throws `bundle-invalid` for anything else,
 * for a checksum that does not fit, and for content that is larger than 64 MiB and 100 times the file.
 */
export async function* gunzipped(source: ByteSource): AsyncGenerator<Uint8Array> {
  const start = await headerEnd(source);
  const end = source.size - TRAILER_BYTES;
  const limit = Math.max(FREE_BYTES, MAX_RATIO * source.size);
  const inflate = createInflateRaw({ chunkSize: CHUNK });
  const input = Readable.from(ranges(source, start, end));
  input.on("error", (cause) => inflate.destroy(cause));
  let checksum = 0;
  let total = 0;
  try {
    for await (const chunk of input.pipe(inflate) as AsyncIterable<Buffer>) {
      checksum = crc32(chunk, checksum);
      total += chunk.length;
      if (total > limit) throw invalid(source, `it unpacks to more than ${limit} bytes, from ${source.size}`);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof VeneError) throw cause;
    throw invalid(source, `its gzip stream is damaged or truncated: ${messageOf(cause)}`, cause);
  } finally {
    input.destroy();
    inflate.destroy();
  }
  if (inflate.bytesWritten !== end - start) {
    throw invalid(
      source,
      `its gzip stream ends ${end - start - inflate.bytesWritten} bytes early: something follows it`,
    );
  }
  const trailer = Buffer.from(await source.read(end, source.size));
  const expected = [trailer.readUInt32LE(0), trailer.readUInt32LE(4)];
  if (expected[0] !== checksum || expected[1] !== total % 2 ** 32) {
    throw invalid(
      source,
      `its content has CRC ${checksum} and length ${total}, its end says ${expected.join(" and ")}`,
    );
  }
}

/** Where the deflated bytes begin. A file name is all that gzip may have added. */
async function headerEnd(source: ByteSource): Promise<number> {
  const head = await source.read(0, Math.min(source.size, 1024));
  const nameBit = 8;
  if (head.length < HEADER.length + TRAILER_BYTES || head[0] !== 0x1f || head[1] !== 0x8b || head[2] !== 8) {
    throw invalid(source, "it is not a gzip file");
  }
  if ((head[3]! & ~nameBit) !== 0) throw invalid(source, `its gzip header has flags 0x${head[3]!.toString(16)}`);
  const end = head[3] === nameBit ? head.indexOf(0, HEADER.length) + 1 : HEADER.length;
  if (end === 0 || end + TRAILER_BYTES > source.size) throw invalid(source, "its gzip header does not end");
  return end;
}

async function* ranges(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += CHUNK) yield await source.read(at, Math.min(at + CHUNK, end));
}

/** The one shape of what is wrong with a bundle. */
export function invalid({ name }: Pick<ByteSource, "name">, what: string, cause?: unknown): VeneError {
  return new VeneError("bundle-invalid", `${name} is no bundle that can be trusted: ${what}`, {
    hint: "fetch it again; bundles are made by vene pack",
    details: { path: name },
    cause,
  });
}
