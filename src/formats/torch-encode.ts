/** Writes tensors as a file that torch.load(weights_only=True) reads: the pickle and the archive torch.save would make. */
import { type DType, dtypeSizes } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { encodeZip } from "./zip-encode.ts";

export interface TorchEncodeOptions {
  /** An OrderedDict, as state_dict() returns (default), or a plain dict. */
  readonly ordered?: boolean;
  /** The folder inside the archive; torch takes the file's stem. "archive" unless told. */
  readonly root?: string;
}

/** Storage classes by dtype; a dtype without one (torch added none after 2.0) is written as bytes plus its name. */
const storageClasses: { readonly [D in DType]: string | undefined } = {
  float64: "DoubleStorage",
  float32: "FloatStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  float8_e4m3fn: undefined,
  float8_e5m2: undefined,
  int64: "LongStorage",
  int32: "IntStorage",
  int16: "ShortStorage",
  int8: "CharStorage",
  uint64: undefined,
  uint32: undefined,
  uint16: undefined,
  uint8: "ByteStorage",
  bool: "BoolStorage",
};

/** A dict of contiguous CPU tensors, each with its own storage; equal input gives equal bytes. Throws `usage` for a bad key. */
export function encodeTorchFile(
  entries: ReadonlyMap<string | number, Tensor>,
  { ordered = true, root = "archive" }: TorchEncodeOptions = {},
): Uint8Array {
  if (root === "" || root.includes("/")) {
    throw new VeneError("usage", `the folder inside a torch file cannot be called "${root}"`, { details: { root } });
  }
  const storages = [...entries.values()].map(({ bytes }, i) => ({ name: `${root}/data/${i}`, bytes }));
  return encodeZip([
    { name: `${root}/data.pkl`, bytes: encodePickle(entries, ordered) },
    { name: `${root}/byteorder`, bytes: ascii("little") },
    ...storages,
    { name: `${root}/version`, bytes: ascii("3\n") },
  ]);
}

function encodePickle(entries: ReadonlyMap<string | number, Tensor>, ordered: boolean): Uint8Array {
  const out = new PickleWriter();
  out.raw(op.proto, 2);
  if (ordered) out.emptyOrderedDict();
  else out.raw(op.emptyDict);
  out.raw(op.mark);
  let storage = 0;
  for (const [key, tensor] of entries) {
    out.key(key);
    writeTensor(out, tensor, String(storage++));
  }
  out.raw(op.setItems, op.stop);
  return out.bytes();
}

/** The call torch.Tensor.__reduce_ex__ pickles: rebuild(storage, offset, size, stride, requires_grad, hooks[, dtype]). */
function writeTensor(out: PickleWriter, { dtype, shape, bytes }: Tensor, storage: string): void {
  const storageClass = storageClasses[dtype];
  out.global("torch._utils", storageClass === undefined ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  out.raw(op.mark, op.mark);
  out.text("storage");
  if (storageClass === undefined) out.global("torch.storage", "UntypedStorage");
  else out.global("torch", storageClass);
  out.text(storage);
  out.text("cpu");
  out.integer(storageClass === undefined ? bytes.length : bytes.length / dtypeSizes[dtype]);
  out.raw(op.tuple, op.persistentId);
  out.integer(0);
  out.integers(shape);
  out.integers(contiguousStrides(shape));
  out.raw(op.newFalse);
  out.emptyOrderedDict();
  if (storageClass === undefined) out.global("torch", dtype);
  out.raw(op.tuple, op.reduce);
}

/** torch counts a dimension of size 0 as 1 here. */
function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * Math.max(1, shape[i + 1]!);
  return strides;
}

const op = {
  proto: 0x80,
  emptyDict: 0x7d,
  emptyTuple: 0x29,
  mark: 0x28,
  tuple: 0x74,
  binInt: 0x4a,
  binInt1: 0x4b,
  binInt2: 0x4d,
  long1: 0x8a,
  binUnicode: 0x58,
  newFalse: 0x89,
  global: 0x63,
  persistentId: 0x51,
  reduce: 0x52,
  setItems: 0x75,
  stop: 0x2e,
} as const;

class PickleWriter {
  readonly #bytes: number[] = [];

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  raw(...bytes: readonly number[]): void {
    for (const byte of bytes) this.#bytes.push(byte);
  }

  global(module: string, name: string): void {
    this.raw(op.global, ...ascii(`${module}\n${name}\n`));
  }

  emptyOrderedDict(): void {
    this.global("collections", "OrderedDict");
    this.raw(op.emptyTuple, op.reduce);
  }

  key(key: string | number): void {
    if (typeof key === "string") this.text(key);
    else this.integer(key);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.raw(op.binUnicode, ...littleEndian(BigInt(bytes.length), 4));
    for (const byte of bytes) this.#bytes.push(byte);
  }

  /** In the shortest form, as Python's pickler chooses it. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value)) {
      throw new VeneError("usage", `a torch file's dict cannot have the key ${value}`, {
        hint: "keys are strings or integers",
        details: { key: value },
      });
    }
    if (value >= 0 && value < 2 ** 8) this.raw(op.binInt1, value);
    else if (value >= 0 && value < 2 ** 16) this.raw(op.binInt2, ...littleEndian(BigInt(value), 2));
    else if (value >= -(2 ** 31) && value < 2 ** 31) this.raw(op.binInt, ...littleEndian(BigInt(value), 4));
    else this.raw(op.long1, 8, ...littleEndian(BigInt(value), 8));
  }

  integers(values: readonly number[]): void {
    this.raw(op.mark);
    for (const value of values) this.integer(value);
    this.raw(op.tuple);
  }
}

function littleEndian(value: bigint, width: number): number[] {
  return Array.from({ length: width }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
