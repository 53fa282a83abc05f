/** Packed numbers of a tensor: typed arrays that grow while a message is read. */
import type { Packable } from "./messages.ts";

/** What the five typed arrays have in common here; elements are bigint for the 64-bit integers, number for the rest. */
export interface NumberArray extends ArrayLike<number | bigint> {
  [index: number]: number | bigint;
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  set(values: ArrayLike<number | bigint>, offset?: number): void;
  subarray(start: number, end: number): NumberArray;
  slice(start: number, end: number): NumberArray;
}

interface NumberArrayClass {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): NumberArray;
  new (buffer: ArrayBufferLike): NumberArray;
}

const classes = {
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  float: Float32Array,
  double: Float64Array,
} as unknown as { readonly [P in Packable]: NumberArrayClass };

const empties: { readonly [P in Packable]: NumberArray } = {
  int64: new classes.int64(0),
  uint64: new classes.uint64(0),
  int32: new classes.int32(0),
  float: new classes.float(0),
  double: new classes.double(0),
};

/** The shared array of length 0. */
export function emptyNumbers(kind: Packable): NumberArray {
  return empties[kind];
}

/** Bytes per element in memory, which for float and double is also that on the wire. */
export function widthOf(kind: Packable): number {
  return classes[kind].BYTES_PER_ELEMENT;
}

/** Whether `values` is the typed array whose bytes are the wire's bytes. */
export function isTyped(kind: Packable, values: unknown): values is NumberArray {
  return values instanceof classes[kind];
}

/** A typed array being filled. */
export class GrowingNumbers {
  readonly #kind: Packable;
  #array: NumberArray;
  #length: number;

  /** Starts from what an earlier occurrence of the message held. */
  constructor(kind: Packable, initial: NumberArray) {
    this.#kind = kind;
    this.#array = initial;
    this.#length = initial.length;
  }

  /** Makes room for `count` more: exactly that at first, then doubling, so that neither one run nor many cost twice. */
  reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#array.length) return;
    const capacity = this.#length === 0 ? needed : Math.max(needed, 2 * this.#array.length);
    const grown = new classes[this.#kind](capacity);
    grown.set(this.#array.subarray(0, this.#length));
    this.#array = grown;
  }

  /** Adds one value; the room must have been reserved. */
  push(value: number | bigint): void {
    this.#array[this.#length++] = value;
  }

  /** Adds little-endian values from `bytes`, a whole number of them. */
  append(bytes: Uint8Array): void {
    const count = bytes.length / widthOf(this.#kind);
    this.reserve(count);
    const { buffer, byteOffset } = this.#array;
    new Uint8Array(buffer, byteOffset + this.#length * widthOf(this.#kind), bytes.length).set(bytes);
    this.#length += count;
  }

  finish(): NumberArray {
    return this.#length === this.#array.length ? this.#array : this.#array.slice(0, this.#length);
  }
}
