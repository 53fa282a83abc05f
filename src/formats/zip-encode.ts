/** Writes STORED zip archives the way torch does: correct CRC-32, contents aligned to 64 bytes, no timestamps. */
import { crc32 } from "node:zlib";
import { VeneError } from "../base/errors.ts";

export interface ZipContent {
  /** Path inside the archive. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const ALIGNMENT = 64;
const LOCAL_LENGTH = 30;
const CENTRAL_LENGTH = 46;
const END_LENGTH = 22;
/** "FB", the id of the extra field that torch pads with. */
const PADDING_ID = 0x4246;
/** Names are UTF-8. */
const FLAGS = 0x0800;
/** 1980-01-01, the first day that a zip can name. */
const DATE = 0x21;

/** The archive's bytes; equal input gives equal bytes. Throws `zip-invalid` beyond what a zip without zip64 can hold. */
export function encodeZip(contents: readonly ZipContent[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const push = (bytes: Uint8Array): void => {
    chunks.push(bytes);
    at += bytes.length;
  };
  for (const { name, bytes } of contents) {
    const nameBytes = new TextEncoder().encode(name);
    const fields = { checksum: crc32(bytes), size: bytes.length, nameLength: nameBytes.length };
    directory.push(centralEntry(fields, at), nameBytes);
    const pad = padding(at + LOCAL_LENGTH + nameBytes.length);
    for (const part of [localHeader(fields, pad.length), nameBytes, pad, bytes]) push(part);
  }
  const directoryStart = at;
  for (const bytes of directory) push(bytes);
  if (contents.length >= 0xffff || at >= 0xffffffff) {
    throw new VeneError(
      "zip-invalid",
      `${contents.length} entries of ${at} bytes in all do not fit in a zip without zip64`,
      {
        hint: "split the tensors over several files, or use safetensors",
        details: { entries: contents.length, size: at },
      },
    );
  }
  push(endRecord(contents.length, directoryStart, at - directoryStart));
  return concatenate(chunks, at);
}

interface EntryFields {
  readonly checksum: number;
  readonly size: number;
  readonly nameLength: number;
}

/** The fields that local header and directory entry share, from "version needed" to the name's length. */
function writeShared(view: DataView, at: number, fields: EntryFields): void {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, FLAGS, true);
  view.setUint16(at + 8, DATE, true);
  view.setUint32(at + 10, fields.checksum, true);
  view.setUint32(at + 14, fields.size, true);
  view.setUint32(at + 18, fields.size, true);
  view.setUint16(at + 22, fields.nameLength, true);
}

function localHeader(fields: EntryFields, extraLength: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(LOCAL_LENGTH));
  view.setUint32(0, 0x04034b50, true);
  writeShared(view, 4, fields);
  view.setUint16(28, extraLength, true);
  return new Uint8Array(view.buffer);
}

function centralEntry(fields: EntryFields, headerOffset: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(CENTRAL_LENGTH));
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(4, 20, true);
  writeShared(view, 6, fields);
  view.setUint32(42, headerOffset, true);
  return new Uint8Array(view.buffer);
}

/** The extra field that moves what follows byte `at` to a multiple of 64. */
function padding(at: number): Uint8Array {
  const fill = (ALIGNMENT - ((at + 4) % ALIGNMENT)) % ALIGNMENT;
  const bytes = new Uint8Array(4 + fill).fill("Z".charCodeAt(0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, PADDING_ID, true);
  view.setUint16(2, fill, true);
  return bytes;
}

function endRecord(entries: number, start: number, size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(END_LENGTH));
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, entries, true);
  view.setUint16(10, entries, true);
  view.setUint32(12, size, true);
  view.setUint32(16, start, true);
  return new Uint8Array(view.buffer);
}

function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
