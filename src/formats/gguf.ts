/** Reads the GGUF files that hold control vectors: little-endian versions 2 and 3 with unquantised tensors. */
import type { ByteSource } from "../base/bytes.ts";
import type { DType } from "../base/dtype.ts";
import { type ErrorDetails, messageOf, VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { byteLength } from "./byte-length.ts";
import { fileFormats, SNIFF_LENGTH, sniffFormat } from "./sniff.ts";

/** Integers are numbers when safe, else bigints. */
export type GgufValue = number | bigint | string | boolean | GgufValue[];

export interface Gguf {
  readonly version: number;
  readonly metadata: Map<string, GgufValue>;
  /** By name; shapes row-major (the file lists dimensions fastest first). */
  readonly tensors: Map<string, Tensor>;
}

interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  /** From the start of the data section. */
  readonly offset: number;
}

interface Header {
  readonly version: number;
  readonly metadata: Map<string, GgufValue>;
  readonly infos: readonly TensorInfo[];
  /** Bytes up to the data section, before alignment. */
  readonly length: number;
}

/** Everything before the tensors' bytes; a language model's vocabulary takes up to 10 MB of it. */
const MAX_HEADER = 64 * 2 ** 20;
const MAX_VALUES = 4_000_000;
const MAX_NESTING = 8;
/** GGML_MAX_DIMS. */
const MAX_RANK = 4;

/** Reads a control vector whole. Throws `gguf-invalid`; a quantised tensor is refused by name and type. */
export async function readGguf(source: ByteSource): Promise<Gguf> {
  const header = await readHeader(source);
  const alignment = header.metadata.get("general.alignment") ?? 32;
  if (
    typeof alignment !== "number" ||
    alignment < 1 ||
    alignment > 2 ** 20 ||
    !Number.isInteger(Math.log2(alignment))
  ) {
    fail(source.name, `general.alignment is ${String(alignment).slice(0, 40)}, not a power of two`);
  }
  const dataStart = Math.ceil(header.length / alignment) * alignment;
  const places = header.infos.map((info) => placeOf(source, info, dataStart, alignment));
  const inOrder = places.toSorted((a, b) => a.start - b.start || a.end - b.end);
  inOrder.forEach((place, i) => {
    const before = inOrder[i - 1];
    if (before !== undefined && place.start < before.end) fail(source.name, `${place.name} overlaps ${before.name}`);
  });
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, start, end } of places) {
    tensors.set(name, new Tensor(dtype, shape, await source.read(start, end)));
  }
  return { version: header.version, metadata: header.metadata, tensors };
}

const readable: ReadonlyMap<number, DType> = new Map<number, DType>([
  [0, "float32"],
  [1, "float16"],
  [28, "float64"],
  [30, "bfloat16"],
]);

/** ggml's type numbers, for messages. */
const typeNames: ReadonlyMap<number, string> = new Map(
  Object.entries({
    ...{ 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K" },
    ...{ 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL" },
    ...{ 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 29: "IQ1_M" },
    ...{ 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4" },
  }).map(([type, name]) => [Number(type), name]),
);

function placeOf(source: ByteSource, info: TensorInfo, dataStart: number, alignment: number) {
  const { name, shape, type, offset } = info;
  const dtype = readable.get(type);
  if (dtype === undefined) {
    fail(source.name, `${name} has the type ${typeNames.get(type) ?? type}, which is not read`, {
      hint: "control vectors hold F32, F16, BF16 or F64; is this a whole model?",
      details: { tensor: name, type },
    });
  }
  const size = byteLength(dtype, shape);
  const start = dataStart + offset;
  if (size === undefined || offset % alignment !== 0 || start + size > source.size) {
    fail(source.name, `${name} [${shape}] at offset ${offset} does not fit in the file's ${source.size} bytes`, {
      hint: "the file is truncated or damaged; fetch it again",
      details: { tensor: name, shape, offset },
    });
  }
  return { name, dtype, shape, start, end: start + size };
}

/** Parses a prefix of the file, a longer one whenever it was too short: models of many GB are not read whole to be refused. */
async function readHeader(source: ByteSource): Promise<Header> {
  for (let length = 2 ** 16; ; length *= 8) {
    const prefix = await source.read(0, Math.min(length, source.size, MAX_HEADER));
    const header = parseHeader(source, prefix);
    if (header !== undefined) return header;
    if (prefix.length === source.size) fail(source.name, `it ends at byte ${source.size}, inside its header`);
    if (prefix.length === MAX_HEADER) fail(source.name, `its header has more than ${MAX_HEADER} bytes`);
  }
}

/** Thrown and caught in this file: the prefix ends before the header does. */
const tooShort = Symbol("too short");

function parseHeader(source: ByteSource, prefix: Uint8Array): Header | undefined {
  const reader = new HeaderReader(source, prefix);
  try {
    return reader.header();
  } catch (thrown) {
    if (thrown === tooShort) return undefined;
    throw thrown;
  }
}

class HeaderReader {
  readonly #source: ByteSource;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #valuesLeft = MAX_VALUES;

  constructor(source: ByteSource, prefix: Uint8Array) {
    this.#source = source;
    this.#bytes = prefix;
    this.#view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  }

  header(): Header {
    this.#magic();
    const version = this.uint32();
    if (version !== 2 && version !== 3) {
      const swapped = version === 0x02000000 || version === 0x03000000;
      this.fail(swapped ? "it is big-endian, which is not read" : `it has version ${version}, known are 2 and 3`);
    }
    const tensorCount = this.#count(24);
    const valueCount = this.#count(13);
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < valueCount; i++) {
      const key = this.text();
      if (metadata.has(key)) this.fail(`it has the key ${key.slice(0, 80)} twice`);
      metadata.set(key, this.value(this.uint32(), 0));
    }
    const infos: TensorInfo[] = [];
    const names = new Set<string>();
    for (let i = 0; i < tensorCount; i++) {
      const info = this.#tensorInfo();
      if (names.has(info.name)) this.fail(`two tensors are called ${info.name.slice(0, 80)}`);
      names.add(info.name);
      infos.push(info);
    }
    return { version, metadata, infos, length: this.#at };
  }

  value(type: number, depth: number): GgufValue {
    if (--this.#valuesLeft < 0) this.fail(`it holds more than ${MAX_VALUES} values`);
    const read = valueReaders.get(type);
    if (read === undefined) this.fail(`a value has the unknown type ${type}`);
    return read(this, depth);
  }

  array(depth: number): GgufValue[] {
    if (depth >= MAX_NESTING) this.fail(`arrays are nested deeper than ${MAX_NESTING} levels`);
    const type = this.uint32();
    const count = this.#count(1);
    const items: GgufValue[] = [];
    for (let i = 0; i < count; i++) items.push(this.value(type, depth + 1));
    return items;
  }

  text(): string {
    const length = this.#count(1);
    const start = this.skip(length);
    try {
      return decoder.decode(this.#bytes.subarray(start, start + length));
    } catch (cause) {
      this.fail(`a string at byte ${start} is not UTF-8: ${messageOf(cause)}`);
    }
  }

  bool(): boolean {
    const byte = this.#view.getUint8(this.skip(1));
    if (byte > 1) this.fail(`a boolean is ${byte}`);
    return byte === 1;
  }

  uint32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  get view(): DataView {
    return this.#view;
  }

  skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw tooShort;
    this.#at += length;
    return start;
  }

  fail(problem: string): never {
    fail(this.#source.name, problem, { details: { at: this.#at } });
  }

  #magic(): void {
    const format = sniffFormat(this.#bytes.subarray(0, SNIFF_LENGTH));
    if (format !== "gguf") {
      this.fail(
        format === undefined ? "it does not begin with GGUF" : `this is ${fileFormats[format]}, not a GGUF file`,
      );
    }
    this.skip(4);
  }

  /** A count of things of at least `width` bytes each, which the rest of the file must be able to hold. */
  #count(width: number): number {
    const count = this.#view.getBigUint64(this.skip(8), true);
    const most = Math.floor((this.#source.size - this.#at) / width);
    if (count > BigInt(most)) this.fail(`it announces ${count} items where at most ${most} fit`);
    return Number(count);
  }

  #tensorInfo(): TensorInfo {
    const name = this.text();
    const rank = this.uint32();
    if (rank > MAX_RANK) this.fail(`${name.slice(0, 80)} has ${rank} dimensions, at most ${MAX_RANK} are known`);
    const shape: number[] = [];
    for (let i = 0; i < rank; i++) shape.unshift(this.#size(name));
    return { name, shape, type: this.uint32(), offset: this.#size(name) };
  }

  #size(name: string): number {
    const size = this.#view.getBigUint64(this.skip(8), true);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${name.slice(0, 80)} has a size or offset of ${size}`);
    return Number(size);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

type ValueReader = (reader: HeaderReader, depth: number) => GgufValue;

/** By the format's type numbers. */
const valueReaders: ReadonlyMap<number, ValueReader> = new Map<number, ValueReader>([
  [0, (reader) => reader.view.getUint8(reader.skip(1))],
  [1, (reader) => reader.view.getInt8(reader.skip(1))],
  [2, (reader) => reader.view.getUint16(reader.skip(2), true)],
  [3, (reader) => reader.view.getInt16(reader.skip(2), true)],
  [4, (reader) => reader.uint32()],
  [5, (reader) => reader.view.getInt32(reader.skip(4), true)],
  [6, (reader) => reader.view.getFloat32(reader.skip(4), true)],
  [7, (reader) => reader.bool()],
  [8, (reader) => reader.text()],
  [9, (reader, depth) => reader.array(depth)],
  [10, (reader) => shortest(reader.view.getBigUint64(reader.skip(8), true))],
  [11, (reader) => shortest(reader.view.getBigInt64(reader.skip(8), true))],
  [12, (reader) => reader.view.getFloat64(reader.skip(8), true)],
]);

function shortest(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function fail(name: string, problem: string, options: { hint?: string; details?: ErrorDetails } = {}): never {
  throw new VeneError("gguf-invalid", `${name}: ${problem}`, { ...options, details: { name, ...options.details } });
}
