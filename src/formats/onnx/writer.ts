/** Writes protobuf's wire types into a buffer of known size. */
import { VeneError } from "../../base/errors.ts";

const safe = BigInt(Number.MAX_SAFE_INTEGER);
const whole = new BigInt64Array(1);
const halves = new Uint32Array(whole.buffer);

/** Bytes of a varint of a whole number from 0 to 2^53. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest /= 0x80) size++;
  return size;
}

/** Bytes of a varint of a 64-bit integer; negative ones take all ten. */
export function int64Size(value: bigint): number {
  if (value < 0n) return 10;
  if (value <= safe) return varintSize(Number(value));
  let size = 8;
  for (let rest = value >> 56n; rest > 0n; rest >>= 7n) size++;
  return size;
}

/** A cursor over a fresh buffer of exactly `size` bytes. */
export class WireWriter {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(size: number) {
    // Not zeroed: every byte is written, which finish() checks.
    this.#buffer = Buffer.allocUnsafeSlow(size);
  }

  varint(value: number): void {
    let rest = value;
    while (rest > 0x7fffffff) {
      this.#buffer[this.#position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.#buffer[this.#position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#position++] = rest;
  }

  /** Signed or unsigned: both are their two's complement. */
  int64(value: bigint): void {
    if (value >= 0n && value <= safe) {
      this.varint(Number(value));
      return;
    }
    whole[0] = value;
    let low = halves[0]!;
    let high = halves[1]!;
    while (high > 0 || low >= 0x80) {
      this.#buffer[this.#position++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#buffer[this.#position++] = low;
  }

  int32(value: number): void {
    if (value < 0) this.int64(BigInt(value));
    else this.varint(value);
  }

  float(value: number): void {
    this.#position = this.#buffer.writeFloatLE(value, this.#position);
  }

  double(value: number): void {
    this.#position = this.#buffer.writeDoubleLE(value, this.#position);
  }

  string(text: string): void {
    this.#position += this.#buffer.write(text, this.#position, "utf8");
  }

  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** The written bytes, without a copy. Throws `graph-invalid` if the object changed between measuring and writing. */
  finish(): Uint8Array {
    const { buffer, byteOffset, length } = this.#buffer;
    if (this.#position !== length) {
      throw new VeneError("graph-invalid", `measured ${length} bytes, wrote ${this.#position}`, {
        hint: "the model was changed while it was encoded",
      });
    }
    return new Uint8Array(buffer, byteOffset, length);
  }
}
