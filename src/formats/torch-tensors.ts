/** torch's storages and the strided views over them, turned into dense little-endian tensors. */
import { type DType, dtypeSizes } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { byteLength } from "./byte-length.ts";

/** Storage classes with the dtype they imply; "bytes" leaves it to the tensor, "complex" has no counterpart here. */
export const storageTypes: ReadonlyMap<string, DType | "bytes" | "complex"> = new Map<
  string,
  DType | "bytes" | "complex"
>([
  ["torch.FloatStorage", "float32"],
  ["torch.DoubleStorage", "float64"],
  ["torch.HalfStorage", "float16"],
  ["torch.BFloat16Storage", "bfloat16"],
  ["torch.LongStorage", "int64"],
  ["torch.IntStorage", "int32"],
  ["torch.ShortStorage", "int16"],
  ["torch.CharStorage", "int8"],
  ["torch.ByteStorage", "uint8"],
  ["torch.BoolStorage", "bool"],
  ["torch.ComplexFloatStorage", "complex"],
  ["torch.ComplexDoubleStorage", "complex"],
  ["torch.storage.UntypedStorage", "bytes"],
]);

/** A tensor as torch describes it: elements of a storage by offset and strides, all counted in elements. */
export interface StridedView {
  /** The whole storage. */
  readonly storage: Uint8Array;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly bigEndian: boolean;
}

/** Bytes that may still be copied; expanded views (stride 0) could otherwise fill memory from a file of 1 kB. */
export interface CopyBudget {
  left: number;
}

/** torch's own limit. */
const MAX_RANK = 64;

/**
 * The view's elements, row-major. A view of exactly the whole storage is not copied; a part is, so that it does not keep the
 * rest alive. Throws `pickle-invalid` for a view that leaves its storage, `pickle-refused` when the budget is spent.
 */
export function materialise(name: string, view: StridedView, budget: CopyBudget): Tensor {
  const { dtype, shape, strides, storage, offset } = view;
  const width = dtypeSizes[dtype];
  const size = checkView(name, view);
  const start = offset * width;
  if (isContiguous(shape, strides)) {
    const part = storage.subarray(start, start + size);
    if (part.length === storage.length && !view.bigEndian) return new Tensor(dtype, shape, part);
  }
  budget.left -= size;
  if (budget.left < 0) {
    throw new VeneError("pickle-refused", `${name}: its tensors unfold into far more bytes than the file has`, {
      hint: "in Python, call .contiguous() on expanded tensors, or save fewer of them",
      details: { name, shape },
    });
  }
  const bytes = size === 0 ? new Uint8Array(0) : gather(view, size);
  if (view.bigEndian) swapBytes(bytes, width);
  return new Tensor(dtype, shape, bytes);
}

/** Bytes of the dense tensor, after checking that the view stays inside its storage. */
function checkView(name: string, { dtype, shape, strides, storage, offset }: StridedView): number {
  const numbers = [offset, ...shape, ...strides];
  const sound = shape.length === strides.length && shape.length <= MAX_RANK;
  if (!sound || !numbers.every((value) => Number.isSafeInteger(value) && value >= 0)) {
    throw new VeneError(
      "pickle-invalid",
      `${name}: a tensor has offset ${offset}, shape [${shape.slice(0, 16)}] and strides [${strides.slice(0, 16)}]`,
      {
        details: { name },
      },
    );
  }
  const size = byteLength(dtype, shape);
  const elements = Math.floor(storage.length / dtypeSizes[dtype]);
  const last = shape.includes(0) ? 0 : shape.reduce((at, length, i) => at + (length - 1) * strides[i]!, offset);
  // `last` may have left the safe integers on the way up, but it only grows, so the comparison still holds.
  if (size === undefined || (size > 0 && last >= elements)) {
    throw new VeneError("pickle-invalid", `${name}: a tensor needs element ${last} of a storage of ${elements}`, {
      details: { name, shape, strides, offset, elements },
    });
  }
  return size;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** Copies runs of trailing dimensions that lie together, stepping through the dimensions before them. */
function gather({ dtype, shape, strides: allStrides, storage, offset }: StridedView, size: number): Uint8Array {
  const width = dtypeSizes[dtype];
  // The stride of a dimension of size 1 means nothing and may be any number.
  const lengths = shape.filter((length) => length !== 1);
  const strides = allStrides.filter((_, i) => shape[i] !== 1);
  let outer = lengths.length;
  let run = 1;
  while (outer > 0 && strides[outer - 1] === run) run *= lengths[--outer]!;
  const out = new Uint8Array(size);
  const index = new Array<number>(outer).fill(0);
  let from = offset;
  for (let to = 0; to < size; to += run * width) {
    copyRun(storage, from * width, out, to, run * width);
    for (let axis = outer - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      index[axis]!++;
      if (index[axis]! < lengths[axis]!) break;
      from -= strides[axis]! * lengths[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** Short runs (a transposed matrix has runs of one element) are faster by hand than through a subarray. */
function copyRun(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (length > 32) target.set(source.subarray(from, from + length), to);
  else for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}

function swapBytes(bytes: Uint8Array, width: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (width === 2) buffer.swap16();
  if (width === 4) buffer.swap32();
  if (width === 8) buffer.swap64();
}
