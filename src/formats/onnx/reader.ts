/** Reads protobuf's wire types from memory, knowing at every step where it is so that a refusal can say so. */
import { constants } from "node:buffer";
import { VeneError } from "../../base/errors.ts";
import { wireTypes } from "./plan.ts";

/**
 * What a decoded model may weigh in memory beyond the file itself, in units of 32 bytes (so about 1 GB). Two bytes of a
 * hostile file can ask for an object of hundreds; a 1 GB file of them would exhaust the heap, which nothing can catch. The
 * graph of a language model needs some MB.
 */
const heapBudget = 1 << 25;

const halves = new Uint32Array(2);
const signed = new BigInt64Array(halves.buffer);
const unsigned = new BigUint64Array(halves.buffer);

/** A cursor over `bytes`; `end` is where the message being read ends. Every method throws `onnx-invalid`. */
export class WireReader {
  readonly bytes: Uint8Array;
  position = 0;
  end: number;
  /** What is being read, for errors: the message, the field, and where the field starts. */
  message = "";
  field = "";
  start = 0;
  /** The halves of the last varint, as unsigned numbers. */
  #low = 0;
  #high = 0;
  #budget = heapBudget;
  readonly #view: DataView;
  readonly #text: Buffer;

  constructor(bytes: Uint8Array) {
    // A Buffer's slice() and subarray() give Buffers; plain views behave alike whoever reads the file.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = bytes.byteLength;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(reason: string): VeneError {
    const where = this.field === "" ? this.message : `${this.message}.${this.field}`;
    return new VeneError("onnx-invalid", `${where} at byte ${this.start}: ${reason}`, {
      hint: "the file is damaged, cut short, or not an ONNX model; export or download it again",
      details: { message: this.message, field: this.field, offset: this.start },
    });
  }

  /** Counts memory that the decoded model takes, in units of 32 bytes; throws beyond the budget. */
  spend(units: number): void {
    this.#budget -= units;
    if (this.#budget < 0) throw this.fail(`decoded, the model would take more than ${heapBudget * 32} bytes of memory`);
  }

  /** The next field's tag: its number times 8, plus its wire type. */
  tag(): number {
    this.#varint();
    if (this.#high !== 0 || this.#low < 8) throw this.fail("not a field tag");
    return this.#low;
  }

  int32(): number {
    this.#varint();
    return this.#low | 0;
  }

  int64(): bigint {
    this.#varint();
    if (this.#high < 0x200000) return BigInt(this.#high * 0x100000000 + this.#low);
    halves[0] = this.#low;
    halves[1] = this.#high;
    return signed[0]!;
  }

  uint64(): bigint {
    this.#varint();
    halves[0] = this.#low;
    halves[1] = this.#high;
    return unsigned[0]!;
  }

  float(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** The length of what follows, checked against the end of the message. */
  length(): number {
    this.#varint();
    const length = this.#high * 0x100000000 + this.#low;
    if (length > this.end - this.position) {
      throw this.fail(`a length of ${length} bytes, with ${this.end - this.position} left`);
    }
    return length;
  }

  /** A view of the next length-prefixed bytes. */
  block(): Uint8Array {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    return this.bytes.subarray(start, this.position);
  }

  /** Length-prefixed UTF-8. */
  string(): string {
    const length = this.length();
    if (length > constants.MAX_STRING_LENGTH) throw this.fail(`a string of ${length} bytes`);
    const start = this.position;
    this.position = start + length;
    const text = this.#text.toString("utf8", start, this.position);
    // Bad bytes decode to U+FFFD, so only a string that has one needs the second, strict look.
    if (text.includes("\ufffd")) this.#requireUtf8(this.bytes.subarray(start, this.position));
    return text;
  }

  /** Moves past a field that the table does not have. */
  skip(wireType: number): void {
    if (wireType === wireTypes.varint) this.#varint();
    else if (wireType === wireTypes.fixed64) this.#advance(8);
    else if (wireType === wireTypes.bytes) this.#advance(this.length());
    else if (wireType === wireTypes.fixed32) this.#advance(4);
    else throw this.fail(`wire type ${wireType}, which ONNX never uses`);
  }

  /** How many varints end before `end`. */
  countVarints(end: number): number {
    let count = 0;
    for (let index = this.position; index < end; index++) if (this.bytes[index]! < 0x80) count++;
    return count;
  }

  #advance(width: number): number {
    const start = this.position;
    if (width > this.end - start) throw this.fail(`${width} bytes wanted, with ${this.end - start} left`);
    this.position = start + width;
    return start;
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) throw this.fail("the bytes end inside a number");
      const byte = this.bytes[this.position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw this.fail("a number of more than 10 bytes");
  }

  #requireUtf8(bytes: Uint8Array): void {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      throw this.fail("the text is not UTF-8");
    }
  }
}
