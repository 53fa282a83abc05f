/** A dense little-endian row-major tensor as bytes plus dtype and shape; arithmetic is not its business. */
import { type DType, dtypeSizes, elementCount } from "./dtype.ts";
import { VeneError } from "./errors.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts";

/** `bytes.length` is always the product of `shape` times the size of `dtype`. */
export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;

  /** Throws `tensor-invalid` if the bytes are not exactly what dtype and shape need. */
  constructor(dtype: DType, shape: readonly number[], bytes: Uint8Array) {
    for (const size of shape) {
      if (!Number.isSafeInteger(size) || size < 0) {
        throw new VeneError("tensor-invalid", `a tensor dimension is ${size}`, { details: { shape } });
      }
    }
    const expected = elementCount(shape) * dtypeSizes[dtype];
    if (bytes.length !== expected) {
      throw new VeneError("tensor-invalid", `${dtype} [${shape}] needs ${expected} bytes, got ${bytes.length}`, {
        details: { dtype, shape, expected, found: bytes.length },
      });
    }
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
  }

  /** A float32 tensor over the given values (not copied). */
  static float32(shape: readonly number[], values: Float32Array | readonly number[]): Tensor {
    return new Tensor("float32", shape, bytesOf(values instanceof Float32Array ? values : Float32Array.from(values)));
  }

  /** An int64 tensor. */
  static int64(shape: readonly number[], values: BigInt64Array | readonly number[]): Tensor {
    const data = values instanceof BigInt64Array ? values : BigInt64Array.from(values, BigInt);
    return new Tensor("int64", shape, bytesOf(data));
  }

  get size(): number {
    return elementCount(this.shape);
  }

  /** The values as float32: a view when the tensor is aligned float32, a converted copy otherwise. */
  toFloat32(): Float32Array {
    const readers = float32Readers as { readonly [D in DType]?: (bytes: Uint8Array) => Float32Array };
    const read = readers[this.dtype];
    if (read !== undefined) return read(this.bytes);
    throw new VeneError("tensor-invalid", `${this.dtype} values cannot be read as float32`, {
      hint: "convert the tensor to float32, float16 or bfloat16 first",
      details: { dtype: this.dtype },
    });
  }

  /** The values as numbers; int64 beyond 2^53 loses digits. */
  toNumbers(): number[] {
    if (this.dtype === "int64") return Array.from(viewOrCopy(this.bytes, BigInt64Array), Number);
    return Array.from(this.toFloat32());
  }

  /** The same values in another floating dtype. */
  to(dtype: "float32" | "float16" | "bfloat16"): Tensor {
    if (dtype === this.dtype) return this;
    return new Tensor(dtype, this.shape, bytesOf(float32Writers[dtype](this.toFloat32())));
  }
}

/** The bytes a typed array views, not copied. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function viewOrCopy<T>(
  bytes: Uint8Array,
  View: { new (buffer: ArrayBufferLike, offset: number, length: number): T; BYTES_PER_ELEMENT: number },
): T {
  const width = View.BYTES_PER_ELEMENT;
  if (bytes.byteOffset % width === 0) return new View(bytes.buffer, bytes.byteOffset, bytes.byteLength / width);
  // Not bytes.slice(): a Node Buffer's slice is a view.
  return new View(new Uint8Array(bytes).buffer, 0, bytes.byteLength / width);
}

const float32Readers = {
  float32: (bytes: Uint8Array) => viewOrCopy(bytes, Float32Array),
  float64: (bytes: Uint8Array) => Float32Array.from(viewOrCopy(bytes, Float64Array)),
  float16: (bytes: Uint8Array) => float16ToFloat32(viewOrCopy(bytes, Uint16Array)),
  bfloat16: (bytes: Uint8Array) => bfloat16ToFloat32(viewOrCopy(bytes, Uint16Array)),
  int64: (bytes: Uint8Array) => Float32Array.from(viewOrCopy(bytes, BigInt64Array), Number),
  int32: (bytes: Uint8Array) => Float32Array.from(viewOrCopy(bytes, Int32Array)),
  int16: (bytes: Uint8Array) => Float32Array.from(viewOrCopy(bytes, Int16Array)),
  int8: (bytes: Uint8Array) => Float32Array.from(viewOrCopy(bytes, Int8Array)),
  uint8: (bytes: Uint8Array) => Float32Array.from(bytes),
  bool: (bytes: Uint8Array) => Float32Array.from(bytes),
};

const float32Writers = {
  float32: (values: Float32Array) => values,
  float16: float32ToFloat16,
  bfloat16: float32ToBfloat16,
};
