/** The writing half of xet, for tests only: LZ4 frames, chunks, xorbs and shards as a client makes them. */
import { createHash } from "node:crypto";

/** A greedy LZ4 block: a table of 4-byte strings, the last 5 bytes always literal. */
export function lz4Block(input: Uint8Array): Uint8Array {
  const out: number[] = [];
  const seen = new Map<number, number>();
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  let anchor = 0;
  for (let at = 0; at + 12 <= input.length; ) {
    const word = view.getUint32(at, true);
    const before = seen.get(word);
    seen.set(word, at);
    if (before === undefined || at - before > 65535) {
      at++;
      continue;
    }
    let length = 4;
    while (at + length < input.length - 5 && input[before + length] === input[at + length]) length++;
    sequence(out, input.subarray(anchor, at), at - before, length);
    at += length;
    anchor = at;
  }
  sequence(out, input.subarray(anchor), 0, 0);
  return Uint8Array.from(out);
}

function sequence(out: number[], literals: Uint8Array, offset: number, length: number): void {
  const extra = offset === 0 ? 0 : length - 4;
  out.push((Math.min(literals.length, 15) << 4) | Math.min(extra, 15));
  if (literals.length >= 15) long(out, literals.length - 15);
  for (const byte of literals) out.push(byte);
  if (offset === 0) return;
  out.push(offset & 255, offset >> 8);
  if (extra >= 15) long(out, extra - 15);
}

function long(out: number[], length: number): void {
  for (; length >= 255; length -= 255) out.push(255);
  out.push(length);
}

export interface FrameOptions {
  blockBytes?: number;
  flags?: number;
  /** Blocks written as they are instead of `lz4Block(...)`. */
  blocks?: Uint8Array[];
  stored?: boolean;
}

export function lz4Frame(input: Uint8Array, options: FrameOptions = {}): Uint8Array {
  const { flags = 0x60, blockBytes = 65536, stored = false } = options;
  const parts: Uint8Array[] = [u32(0x184d2204), Uint8Array.of(flags, 0x40)];
  if (flags & 8) parts.push(u32(input.length), u32(0));
  parts.push(Uint8Array.of(0));
  for (const block of options.blocks ?? split(input, blockBytes, stored)) {
    parts.push(u32(stored ? (block.length | 0x80000000) >>> 0 : block.length), block);
    if (flags & 0x10) parts.push(u32(0));
  }
  parts.push(u32(0));
  if (flags & 4) parts.push(u32(0));
  return Buffer.concat(parts);
}

function split(input: Uint8Array, size: number, stored: boolean): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < input.length; at += size) {
    const piece = input.subarray(at, at + size);
    blocks.push(stored ? piece : lz4Block(piece));
  }
  return blocks;
}

export function groupBytes(bytes: Uint8Array): Uint8Array {
  const lanes = [0, 1, 2, 3].flatMap((lane) => [...bytes].filter((_, at) => at % 4 === lane));
  return Uint8Array.from(lanes);
}

export function chunkBytes(stored: Uint8Array, raw: number, scheme: number, version = 0): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(version),
    u32(stored.length).subarray(0, 3),
    Uint8Array.of(scheme),
    u32(raw).subarray(0, 3),
    stored,
  ]);
}

/** The chunk a client would send: compressed where that is shorter. */
export function chunkOf(raw: Uint8Array, scheme: 0 | 1 | 2): Uint8Array {
  const stored = scheme === 0 ? raw : lz4Frame(scheme === 2 ? groupBytes(raw) : raw);
  return stored.length < raw.length ? chunkBytes(stored, raw.length, scheme) : chunkBytes(raw, raw.length, 0);
}

export interface TermToWrite {
  xorb: string;
  bytes: number;
  start: number;
  end: number;
}

export interface FileToWrite {
  sha256?: string;
  terms: TermToWrite[];
  verification?: boolean;
  /** What the header says, where it lies. */
  count?: number;
}

const TAG = [
  ...Buffer.from("HFRepoMetaData"),
  0,
  85,
  105,
  103,
  69,
  106,
  123,
  129,
  87,
  131,
  165,
  189,
  217,
  92,
  205,
  209,
  74,
  169,
];

export function shardOf(files: FileToWrite[], options: { version?: number; end?: boolean } = {}): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(TAG), u32(options.version ?? 2), u32(0), u32(0), u32(0)];
  for (const file of files) {
    const flags = (file.sha256 ? 1 << 30 : 0) | (file.verification ? 1 << 31 : 0);
    parts.push(new Uint8Array(32).fill(7), u32(flags >>> 0), u32(file.count ?? file.terms.length), new Uint8Array(8));
    for (const term of file.terms) {
      parts.push(hashBytes(term.xorb), u32(0), u32(term.bytes), u32(term.start), u32(term.end));
    }
    if (file.verification) for (const _ of file.terms) parts.push(new Uint8Array(48).fill(9));
    if (file.sha256) parts.push(hashBytes(file.sha256), new Uint8Array(16));
  }
  if (options.end !== false) parts.push(new Uint8Array(32).fill(255), new Uint8Array(16));
  return Buffer.concat(parts);
}

export function hashBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "hex");
  for (let word = 0; word < 32; word += 8) bytes.subarray(word, word + 8).reverse();
  return bytes;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
