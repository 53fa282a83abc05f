/** LZ4 frames, decoding only: what xet compresses chunks with. Output never exceeds the size the caller expects. */
import { invalidXet } from "./invalid.ts";

const MAGIC = 0x184d2204;
const FLAG = {
  independent: 0x20,
  blockChecksum: 0x10,
  contentSize: 0x08,
  contentChecksum: 0x04,
  reserved: 0x02,
  dictionary: 0x01,
};
const STORED = 0x80000000;
const MIN_MATCH = 4;
const LONGEST_NIBBLE = 15;

/**
 * The content of one LZ4 frame that fills `frame` from end to end and holds exactly `size` bytes (the caller bounds `size`).
 * The frame's own xxh32 checksums are skipped: sha256 over the rebuilt file decides. Source: LZ4 frame format 1.6.
 */
export function decodeLz4Frame(frame: Uint8Array, size: number): Uint8Array {
  const reader = new Reader(frame);
  const flags = readDescriptor(reader, size);
  const out = new Uint8Array(size);
  let filled = 0;
  for (;;) {
    const word = reader.u32();
    if (word === 0) break;
    const block = reader.take(word & ~STORED);
    if (word >>> 31) filled = copyStored(block, out, filled);
    else filled = decodeBlock(block, out, filled, flags & FLAG.independent ? filled : 0);
    if (flags & FLAG.blockChecksum) reader.take(4);
  }
  if (flags & FLAG.contentChecksum) reader.take(4);
  if (reader.left > 0) throw invalidXet(`LZ4 frame is followed by ${reader.left} bytes`);
  if (filled !== size) throw invalidXet(`LZ4 frame holds ${filled} bytes, its chunk says ${size}`);
  return out;
}

/** Reads up to the first block and returns the flag byte. */
function readDescriptor(reader: Reader, size: number): number {
  const magic = reader.u32();
  if (magic !== MAGIC) throw invalidXet(`LZ4 frame starts with ${magic.toString(16)}`);
  const flags = reader.u8();
  if (flags >>> 6 !== 1) throw invalidXet(`LZ4 frame is of version ${flags >>> 6}`);
  if (flags & (FLAG.reserved | FLAG.dictionary)) throw invalidXet("LZ4 frame uses a dictionary or a reserved flag");
  reader.u8(); // the largest block size: our bound is `size`
  if (flags & FLAG.contentSize) {
    const low = reader.u32();
    const high = reader.u32();
    if (low !== size || high !== 0) throw invalidXet(`LZ4 frame says ${high * 2 ** 32 + low} bytes, its chunk ${size}`);
  }
  reader.u8(); // header checksum
  return flags;
}

function copyStored(block: Uint8Array, out: Uint8Array, at: number): number {
  if (block.length > out.length - at) throw overrun(out);
  out.set(block, at);
  return at + block.length;
}

/** Decodes one block into `out` from `at`; matches reach back to `floor` at most. Returns the new fill level. */
function decodeBlock(block: Uint8Array, out: Uint8Array, at: number, floor: number): number {
  const reader = new Reader(block);
  for (;;) {
    const token = reader.u8();
    const literals = reader.take(readLength(reader, token >>> 4));
    at = copyStored(literals, out, at);
    if (reader.left === 0) return at;

    const offset = reader.u8() | (reader.u8() << 8);
    if (offset === 0 || at - offset < floor)
      throw invalidXet(`LZ4 match reaches ${offset} bytes back, of ${at - floor}`);
    const length = readLength(reader, token & LONGEST_NIBBLE) + MIN_MATCH;
    if (length > out.length - at) throw overrun(out);
    copyMatch(out, at, offset, length);
    at += length;
  }
}

function readLength(reader: Reader, nibble: number): number {
  let length = nibble;
  if (nibble < LONGEST_NIBBLE) return length;
  for (;;) {
    const more = reader.u8();
    length += more;
    if (more < 255) return length;
  }
}

/** A match may overlap what it writes (offset < length): then it repeats, byte by byte. */
function copyMatch(out: Uint8Array, at: number, offset: number, length: number): void {
  if (offset >= length) {
    out.copyWithin(at, at - offset, at - offset + length);
    return;
  }
  for (let i = at; i < at + length; i++) out[i] = out[i - offset]!;
}

function overrun(out: Uint8Array): Error {
  return invalidXet(`LZ4 block decodes to more than the ${out.length} bytes its chunk says`);
}

/** A cursor that refuses to pass the end. */
class Reader {
  private at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    if (this.left < 1) throw invalidXet("LZ4 data ends early");
    return this.bytes[this.at++]!;
  }

  u32(): number {
    const bytes = this.take(4);
    return (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw invalidXet(`LZ4 data ends early: ${length} bytes announced, ${this.left} left`);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
