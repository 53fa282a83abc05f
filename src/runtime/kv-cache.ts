/** Keys and values of earlier tokens, per layer, time-major, appended in JS: the graph only ever returns a step's own. */
import { io } from "../arch/decoder.ts";
import type { ModelShape } from "../arch/family.ts";
import type { Feed, Result } from "./ort.ts";

/** Spare room that a batch's buffers grow by; for one row the buffer is read exactly up to its length, so spare room is free. */
const GROWTH = 64;
/** Tokens that a single row's buffers are made for at first: what is foreseen may be far more than what comes. */
const FIRST = 2048;

interface Lane {
  readonly input: string;
  readonly output: string;
  readonly width: number;
  data: Float32Array;
}

/**
 * For one row the past fed is exactly [1, length, width], a view. For several rows it is [batch, capacity, width] including
 * unused slots, which the mask hides: growing in steps costs less than packing rows anew for every token.
 */
export class KvCache {
  readonly batch: number;
  readonly #expected: number;
  readonly #lanes: readonly Lane[];
  #length = 0;
  #capacity = 0;

  /** `expected`: most tokens per row, so that a single row's buffer is rarely allocated anew. */
  constructor(shape: ModelShape, batch: number, expected: number) {
    this.batch = batch;
    this.#expected = expected;
    const empty = new Float32Array(0);
    this.#lanes = shape.cache.flatMap(({ key, value }, layer) => [
      { input: io.pastKey(layer), output: io.stepKey(layer), width: key, data: empty },
      { input: io.pastValue(layer), output: io.stepValue(layer), width: value, data: empty },
    ]);
    if (batch === 1) this.#reserve(Math.min(expected, FIRST));
  }

  /** Tokens held per row. */
  get length(): number {
    return this.#length;
  }

  /** Length of the past that the graph sees, unused slots included. */
  get slots(): number {
    return this.batch === 1 ? this.#length : this.#capacity;
  }

  get outputs(): readonly string[] {
    return this.#lanes.map((lane) => lane.output);
  }

  feeds(): Record<string, Feed> {
    const feeds: Record<string, Feed> = {};
    const slots = this.slots;
    for (const { input, width, data } of this.#lanes) {
      const view = data.subarray(0, this.batch * slots * width);
      feeds[input] = { dtype: "float32", data: view, shape: [this.batch, slots, width] };
    }
    return feeds;
  }

  /** Appends a step's outputs, `count` tokens per row. */
  append(results: Readonly<Record<string, Result>>, count: number): void {
    if (this.#length + count > this.#capacity) this.#reserve(this.#grown(this.#length + count));
    for (const lane of this.#lanes) {
      const step = results[lane.output]!.data;
      for (let row = 0; row < this.batch; row++) {
        const from = row * count * lane.width;
        lane.data.set(
          step.subarray(from, from + count * lane.width),
          (row * this.#capacity + this.#length) * lane.width,
        );
      }
    }
    this.#length += count;
  }

  #grown(needed: number): number {
    return this.batch === 1 ? Math.max(needed, Math.min(this.#expected, 2 * this.#capacity)) : needed + GROWTH;
  }

  #reserve(capacity: number): void {
    for (const lane of this.#lanes) {
      const grown = new Float32Array(this.batch * capacity * lane.width);
      for (let row = 0; row < this.batch; row++) {
        const from = row * this.#capacity * lane.width;
        grown.set(lane.data.subarray(from, from + this.#length * lane.width), row * capacity * lane.width);
      }
      lane.data = grown;
    }
    this.#capacity = capacity;
  }
}
