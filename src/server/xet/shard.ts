/** Shards: which chunk ranges of which xorbs make up which file. Only the file-info section is read; it comes first. */
import { hashString } from "./hash.ts";
import { invalidXet } from "./invalid.ts";

const MAGIC = Uint8Array.from([
  ...new TextEncoder().encode("HFRepoMetaData"),
  ...[0, 85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169],
]);
const VERSION = 2;
const RECORD = 48; // the shard's header and every record after it
const HASH = 32;
const WITH_VERIFICATION = 1 << 31;
const WITH_METADATA = 1 << 30;
const END_OF_FILES = "f".repeat(64);

/** Chunks [start, end) of a xorb, `bytes` of them when decoded. */
export interface ShardTerm {
  xorb: string;
  bytes: number;
  start: number;
  end: number;
}

/** One file: its sha256, its size by the terms' own account, and its terms in order (read lazily: there may be a million). */
export interface ShardFile {
  sha256: string;
  size: number;
  terms(): Iterable<ShardTerm>;
}

/**
 * The files a shard describes. Every file must carry its sha256 (FileMetadataExt), since that is what it is stored by.
 * Counts are checked against the bytes that are there before anything is made from them. Source: xet's shard format, version 2.
 */
export function* shardFiles(shard: Uint8Array): Generator<ShardFile> {
  const view = new DataView(shard.buffer, shard.byteOffset, shard.byteLength);
  checkHeader(shard, view);
  for (let at = RECORD; ; ) {
    if (at + RECORD > shard.length) throw invalidXet("shard's list of files has no end mark");
    if (hashAt(shard, at) === END_OF_FILES) return;
    const flags = view.getUint32(at + HASH, true);
    const count = view.getUint32(at + HASH + 4, true);
    if (!(flags & WITH_METADATA)) throw invalidXet("shard describes a file without its sha256");
    const termsAt = at + RECORD;
    const metadataAt = termsAt + count * RECORD * (flags & WITH_VERIFICATION ? 2 : 1);
    at = metadataAt + RECORD;
    if (at > shard.length) throw invalidXet(`shard announces a file of ${count} terms and ends before them`);
    const size = sumOfTerms(view, termsAt, count);
    yield { sha256: hashAt(shard, metadataAt), size, terms: () => readTerms(shard, view, termsAt, count) };
  }
}

const TERM = { bytes: HASH + 4, start: HASH + 8, end: HASH + 12 };

/** Without looking at anything else: this runs in one go, over a million terms in the worst case. */
function sumOfTerms(view: DataView, from: number, count: number): number {
  let sum = 0;
  for (let at = from; at < from + count * RECORD; at += RECORD) sum += view.getUint32(at + TERM.bytes, true);
  return sum;
}

function* readTerms(shard: Uint8Array, view: DataView, from: number, count: number): Generator<ShardTerm> {
  for (let at = from; at < from + count * RECORD; at += RECORD) {
    const bytes = view.getUint32(at + TERM.bytes, true);
    const start = view.getUint32(at + TERM.start, true);
    const end = view.getUint32(at + TERM.end, true);
    if (start >= end) throw invalidXet(`shard term covers chunks ${start} to ${end}`);
    yield { xorb: hashAt(shard, at), bytes, start, end };
  }
}

function checkHeader(shard: Uint8Array, view: DataView): void {
  if (shard.length < RECORD) throw invalidXet(`shard of ${shard.length} bytes`);
  if (MAGIC.some((byte, at) => shard[at] !== byte)) throw invalidXet("shard does not start with the shard magic");
  const version = view.getBigUint64(HASH, true);
  if (version !== BigInt(VERSION)) throw invalidXet(`shard version ${version}, expected ${VERSION}`);
}

function hashAt(shard: Uint8Array, at: number): string {
  return hashString(shard.subarray(at, at + HASH));
}
