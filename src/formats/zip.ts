/** Reads STORED zip archives by their central directory alone, as torch writes them: local headers hold no sizes there. */
import { crc32 } from "node:zlib";
import type { ByteSource } from "../base/bytes.ts";
import { type ErrorDetails, VeneError } from "../base/errors.ts";

export interface ZipEntry {
  readonly name: string;
  /** Bytes of content. */
  readonly size: number;
  /** From the central directory; 0 means that the writer did not say. */
  readonly crc32: number;
  /** Why its content cannot be read (compressed, encrypted), if so; TorchScript archives hold such entries. */
  readonly unreadable: string | undefined;
  /** Where the local header begins. */
  readonly headerOffset: number;
  /** Where the next entry or the central directory begins: header and content end before it. */
  readonly limit: number;
}

/** Entries by name, in the directory's order. */
export type ZipDirectory = ReadonlyMap<string, ZipEntry>;

/** What one directory entry says; `stored` is the bytes it takes in the archive. */
type FoundEntry = Omit<ZipEntry, "limit"> & { readonly stored: number };

interface DirectoryPlace {
  readonly entries: number;
  readonly offset: number;
  readonly size: number;
}

const signatures = {
  localHeader: 0x04034b50,
  centralEntry: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const;

const END_LENGTH = 22;
const LOCATOR_LENGTH = 20;
const END64_LENGTH = 56;
const CENTRAL_LENGTH = 46;
const LOCAL_LENGTH = 30;

/** The names and places of all entries; contents are not read. Throws `zip-invalid`. */
export async function readZipDirectory(source: ByteSource): Promise<ZipDirectory> {
  const place = await findDirectory(source);
  const bytes = await source.read(place.offset, place.offset + place.size);
  const found = parseDirectory(source.name, bytes, place);
  const byOffset = found.toSorted((a, b) => a.headerOffset - b.headerOffset);
  const limits = new Map(byOffset.map((entry, i) => [entry, byOffset[i + 1]?.headerOffset ?? place.offset]));
  const directory = new Map<string, ZipEntry>();
  for (const item of found) {
    const { stored, ...entry } = item;
    const limit = limits.get(item)!;
    if (entry.headerOffset + LOCAL_LENGTH + stored > limit) {
      fail(source.name, `entry ${entry.name} of ${stored} bytes at ${entry.headerOffset} runs past byte ${limit}`);
    }
    if (directory.has(entry.name)) fail(source.name, `two entries are called ${entry.name}`);
    directory.set(entry.name, { ...entry, limit });
  }
  return directory;
}

/** One entry's content, its CRC-32 checked where the directory gives one. Throws `zip-invalid`. */
export async function readZipEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  if (entry.unreadable !== undefined) fail(source.name, `entry ${entry.name} ${entry.unreadable}`);
  const header = viewOf(await source.read(entry.headerOffset, entry.headerOffset + LOCAL_LENGTH));
  if (header.getUint32(0, true) !== signatures.localHeader) {
    fail(source.name, `no local header at byte ${entry.headerOffset} for entry ${entry.name}`);
  }
  const nameEnd = entry.headerOffset + LOCAL_LENGTH + header.getUint16(26, true);
  const start = nameEnd + header.getUint16(28, true);
  if (start + entry.size > entry.limit) {
    fail(source.name, `entry ${entry.name} needs bytes ${start} to ${start + entry.size}, allowed to ${entry.limit}`);
  }
  const localName = decodeName(source.name, await source.read(entry.headerOffset + LOCAL_LENGTH, nameEnd));
  if (localName !== entry.name) fail(source.name, `entry ${entry.name} is called ${localName} in its local header`);
  const content = await source.read(start, start + entry.size);
  if (entry.crc32 !== 0 && crc32(content) !== entry.crc32) {
    fail(source.name, `entry ${entry.name} has CRC ${hex(crc32(content))}, the directory says ${hex(entry.crc32)}`, {
      hint: "the file was damaged on its way; fetch it again",
    });
  }
  return content;
}

async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const tailStart = Math.max(0, source.size - END_LENGTH - 0xffff);
  const tail = viewOf(await source.read(tailStart, source.size));
  let at = tail.byteLength - END_LENGTH;
  while (at >= 0 && !isEnd(tail, at)) at--;
  if (at < 0) fail(source.name, "no end record of a zip archive", { hint: "the file is truncated or not a zip" });
  const end = tailStart + at;
  const short = { entries: tail.getUint16(at + 10, true), size: tail.getUint32(at + 12, true) };
  const offset = tail.getUint32(at + 16, true);
  if (tail.getUint16(at + 4, true) !== 0 || tail.getUint16(at + 6, true) !== 0) {
    fail(source.name, "the archive is split over several disks");
  }
  const long = await readEnd64(source, end);
  const place = long?.place ?? { ...short, offset };
  const agrees =
    (short.entries === place.entries || short.entries === 0xffff) &&
    (short.size === place.size || short.size === 0xffffffff) &&
    (offset === place.offset || offset === 0xffffffff);
  if (!agrees) fail(source.name, "the two end records name different directories");
  const directoryEnd = long?.start ?? end;
  if (place.offset + place.size !== directoryEnd || place.entries * CENTRAL_LENGTH > place.size) {
    fail(
      source.name,
      `${place.entries} entries in bytes ${place.offset} + ${place.size}, expected to end at ${directoryEnd}`,
    );
  }
  return place;
}

function isEnd(tail: DataView, at: number): boolean {
  return (
    tail.getUint32(at, true) === signatures.end && tail.getUint16(at + 20, true) === tail.byteLength - at - END_LENGTH
  );
}

async function readEnd64(
  source: ByteSource,
  end: number,
): Promise<{ start: number; place: DirectoryPlace } | undefined> {
  const locatorStart = end - LOCATOR_LENGTH;
  if (locatorStart < 0) return undefined;
  const locator = viewOf(await source.read(locatorStart, end));
  if (locator.getUint32(0, true) !== signatures.locator64) return undefined;
  const start = uint64(source.name, locator, 8);
  if (start + END64_LENGTH > locatorStart) fail(source.name, `the zip64 end record should be at byte ${start}`);
  const record = viewOf(await source.read(start, start + END64_LENGTH));
  if (record.getUint32(0, true) !== signatures.end64 || start + 12 + uint64(source.name, record, 4) !== locatorStart) {
    fail(source.name, `no zip64 end record at byte ${start}`);
  }
  const [entries, size, offset] = [32, 40, 48].map((at) => uint64(source.name, record, at)) as [number, number, number];
  return { start, place: { entries, size, offset } };
}

function parseDirectory(name: string, bytes: Uint8Array, place: DirectoryPlace): FoundEntry[] {
  const view = viewOf(bytes);
  const found: FoundEntry[] = [];
  let at = 0;
  for (let i = 0; i < place.entries; i++) {
    if (at + CENTRAL_LENGTH > bytes.length || view.getUint32(at, true) !== signatures.centralEntry) {
      fail(name, `directory entry ${i} of ${place.entries} is not one`);
    }
    const nameEnd = at + CENTRAL_LENGTH + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.length) fail(name, `directory entry ${i} of ${place.entries} is cut off`);
    const entryName = decodeName(name, bytes.subarray(at + CENTRAL_LENGTH, nameEnd));
    const extra = new DataView(bytes.buffer, bytes.byteOffset + nameEnd, extraEnd - nameEnd);
    found.push(parseEntry(name, entryName, new DataView(bytes.buffer, bytes.byteOffset + at, CENTRAL_LENGTH), extra));
    at = next;
  }
  if (at !== bytes.length) fail(name, `${bytes.length - at} bytes follow the last directory entry`);
  return found;
}

function parseEntry(name: string, entryName: string, fixed: DataView, extra: DataView): FoundEntry {
  const longFields = zip64Fields(name, entryName, extra);
  const field = (at: number): number => {
    const short = fixed.getUint32(at, true);
    if (short !== 0xffffffff) return short;
    const long = longFields.shift();
    if (long === undefined) fail(name, `entry ${entryName} lacks its zip64 sizes`);
    return long;
  };
  // The extra field lists only what is 0xffffffff here, in this order.
  const size = field(24);
  const stored = field(20);
  const headerOffset = field(42);
  const unreadable = whyUnreadable(fixed, size, stored);
  return { name: entryName, size, stored, crc32: fixed.getUint32(16, true), unreadable, headerOffset };
}

function whyUnreadable(fixed: DataView, size: number, stored: number): string | undefined {
  const method = fixed.getUint16(10, true);
  if (method !== 0) return `is compressed (method ${method}); torch only stores tensors`;
  // Bits 0, 6 and 13 of the flags are the three ways to say "encrypted".
  if ((fixed.getUint16(8, true) & 0x2041) !== 0) return "is encrypted";
  return stored === size ? undefined : `has ${size} bytes but stores ${stored}`;
}

function zip64Fields(name: string, entryName: string, extra: DataView): number[] {
  let at = 0;
  while (at + 4 <= extra.byteLength) {
    const end = at + 4 + extra.getUint16(at + 2, true);
    if (end > extra.byteLength) fail(name, `the extra field of entry ${entryName} is cut off`);
    if (extra.getUint16(at, true) === 1) {
      const fields: number[] = [];
      for (let field = at + 4; field + 8 <= end; field += 8) fields.push(uint64(name, extra, field));
      return fields;
    }
    at = end;
  }
  return [];
}

function decodeName(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new VeneError("zip-invalid", `${name}: an entry's name is not UTF-8`, { details: { name }, cause });
  }
}

function uint64(name: string, view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail(name, `a size or offset of ${value} is beyond any file`);
  return Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function fail(name: string, problem: string, options: { hint?: string; details?: ErrorDetails } = {}): never {
  throw new VeneError("zip-invalid", `${name}: ${problem}`, { ...options, details: { name, ...options.details } });
}
