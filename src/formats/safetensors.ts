/** Reads .safetensors files with every check of the Rust crate, header first, tensors one by one or all. */
import type { ByteSource } from "../base/bytes.ts";
import type { DType } from "../base/dtype.ts";
import { type ErrorDetails, VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { byteLength } from "./byte-length.ts";
import { type JsonValue, parseJson } from "./json.ts";
import { fileFormats, SNIFF_LENGTH, sniffFormat } from "./sniff.ts";

export interface SafetensorsEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte in the file. */
  readonly start: number;
  /** One past the last byte in the file. */
  readonly end: number;
}

export interface SafetensorsHeader {
  /** The `__metadata__` strings; no prototype. */
  readonly metadata: Readonly<Record<string, string>>;
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Where the header ends and the first tensor begins. */
  readonly dataStart: number;
}

/** The format's names, in the Rust crate's order of alignment: files list tensors by it, last first. */
export const safetensorsDtypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["BOOL", "bool"],
  ["U8", "uint8"],
  ["I8", "int8"],
  ["F8_E5M2", "float8_e5m2"],
  ["F8_E4M3", "float8_e4m3fn"],
  ["I16", "int16"],
  ["U16", "uint16"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I32", "int32"],
  ["U32", "uint32"],
  ["F32", "float32"],
  ["F64", "float64"],
  ["I64", "int64"],
  ["U64", "uint64"],
]);

/** Bytes of the length that opens the file. */
export const LENGTH_BYTES = 8;
/** The Rust crate's limit on the header. */
export const MAX_HEADER = 100_000_000;

/** Reads and checks the header; the data is not read. Throws `safetensors-invalid`. */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const length = await readHeaderLength(source);
  const dataStart = LENGTH_BYTES + length;
  const header = parseHeader(source.name, await source.read(LENGTH_BYTES, dataStart));
  const { __metadata__: declared, ...infos } = header;
  const metadata = stringsOf(source.name, declared ?? Object.create(null));
  const entries = Object.entries(infos).map(
    ([name, info]) => [name, entryOf(source.name, name, info, dataStart)] as const,
  );
  entries.sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let end = dataStart;
  for (const [name, entry] of entries) {
    if (entry.start !== end) {
      const problem = entry.start < end ? "overlaps the tensor before it" : "leaves a hole before it";
      fail(source.name, `${name} starts at byte ${entry.start - dataStart}, expected ${end - dataStart}: ${problem}`);
    }
    end = entry.end;
  }
  if (end !== source.size) {
    fail(source.name, `tensors end at byte ${end}, the file at ${source.size}`, {
      hint: end > source.size ? "the file is truncated; fetch it again" : "the file has bytes that no tensor owns",
    });
  }
  return { metadata, tensors: new Map(entries), dataStart };
}

/** All tensors by name, in the order of their bytes. Throws `safetensors-invalid`. */
export async function readSafetensors(source: ByteSource): Promise<Map<string, Tensor>> {
  const header = await readSafetensorsHeader(source);
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of header.tensors) tensors.set(name, await readEntry(source, entry));
  return tensors;
}

/** One tensor; only its bytes are read. Throws `safetensors-invalid` if the file has none of that name. */
export async function readSafetensorsTensor(
  source: ByteSource,
  header: SafetensorsHeader,
  name: string,
): Promise<Tensor> {
  const entry = header.tensors.get(name);
  if (entry === undefined) {
    const known = [...header.tensors.keys()];
    fail(source.name, `no tensor is called ${name}`, {
      hint: `it holds ${known.slice(0, 8).join(", ")}${known.length > 8 ? `, and ${known.length - 8} more` : ""}`,
      details: { name },
    });
  }
  return readEntry(source, entry);
}

async function readEntry(source: ByteSource, entry: SafetensorsEntry): Promise<Tensor> {
  return new Tensor(entry.dtype, entry.shape, await source.read(entry.start, entry.end));
}

async function readHeaderLength(source: ByteSource): Promise<number> {
  const head = await source.read(0, Math.min(source.size, SNIFF_LENGTH));
  const format = sniffFormat(head);
  if (format !== undefined && format !== "safetensors") {
    fail(source.name, `this is ${fileFormats[format]}, not a safetensors file`);
  }
  if (head.length < LENGTH_BYTES) fail(source.name, `${source.size} bytes are too few for a safetensors file`);
  const length = new DataView(head.buffer, head.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER)) fail(source.name, `the header says ${length} bytes, the limit is ${MAX_HEADER}`);
  if (LENGTH_BYTES + Number(length) > source.size) {
    fail(source.name, `the header says ${length} bytes, the file has ${source.size}`);
  }
  if (head[LENGTH_BYTES] !== "{".charCodeAt(0) || length === 0n) fail(source.name, "the header does not start with {");
  return Number(length);
}

function parseHeader(name: string, bytes: Uint8Array): { [key: string]: JsonValue } {
  try {
    return parseJson(bytes, { name: "the header", maxDepth: 8 }) as { [key: string]: JsonValue };
  } catch (cause) {
    if (cause instanceof VeneError) fail(name, cause.message, { cause });
    throw cause;
  }
}

function stringsOf(name: string, declared: JsonValue): Readonly<Record<string, string>> {
  if (!isObject(declared)) fail(name, "__metadata__ is not an object");
  for (const [key, value] of Object.entries(declared)) {
    if (typeof value !== "string") fail(name, `__metadata__.${key} is not a string`);
  }
  return declared as Record<string, string>;
}

function entryOf(file: string, name: string, info: JsonValue, dataStart: number): SafetensorsEntry {
  if (!isObject(info)) fail(file, `the header entry ${name} is not an object`);
  const { dtype: code, shape, data_offsets: offsets } = info;
  const dtype = typeof code === "string" ? safetensorsDtypes.get(code) : undefined;
  if (dtype === undefined) {
    fail(file, `${name} has the dtype ${JSON.stringify(code)?.slice(0, 40)}`, {
      hint: `known: ${[...safetensorsDtypes.keys()].join(", ")}`,
      details: { tensor: name },
    });
  }
  if (!isSizes(shape)) fail(file, `${name} has no shape of non-negative integers`, { details: { tensor: name } });
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    fail(file, `${name} has no data_offsets [start, end]`, { details: { tensor: name } });
  }
  const [start, end] = offsets as [number, number];
  const size = byteLength(dtype, shape);
  if (size === undefined) fail(file, `${name} ${code} [${shape.slice(0, 16)}] is larger than any file`);
  if (end - start !== size) {
    fail(file, `${name} ${code} [${shape}] needs ${size} bytes, its offsets [${start}, ${end}] hold ${end - start}`);
  }
  return { dtype, shape, start: dataStart + start, end: dataStart + end };
}

function isObject(value: JsonValue): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}

function fail(
  name: string,
  problem: string,
  options: { hint?: string; details?: ErrorDetails; cause?: unknown } = {},
): never {
  throw new VeneError("safetensors-invalid", `${name}: ${problem}`, {
    ...options,
    details: { name, ...options.details },
  });
}
