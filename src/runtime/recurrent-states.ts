/** What a step leaves for the next one as it is: recurrent states, and the caches of files that others exported. */
import { io } from "../arch/decoder.ts";
import type { CarriedCache, ModelShape } from "../arch/family.ts";
import { elementCount } from "../base/dtype.ts";
import type { Feed, Result } from "./ort.ts";

export class RecurrentStates {
  readonly #carried: readonly CarriedCache[];
  readonly #feeds: Record<string, Feed> = {};

  constructor(shape: ModelShape, batch: number) {
    const states = (shape.states ?? []).map(({ name, shape: row }): CarriedCache => {
      return { input: io.pastState(name), output: io.stepState(name), dtype: "float32", shape: row };
    });
    this.#carried = [...states, ...(shape.carried ?? [])];
    for (const { input, dtype, shape: row } of this.#carried) {
      const full = [batch, ...row];
      const count = elementCount(full);
      this.#feeds[input] =
        dtype === "float32"
          ? { dtype, data: new Float32Array(count), shape: full }
          : { dtype, data: new Uint16Array(count), shape: full };
    }
  }

  get outputs(): readonly string[] {
    return this.#carried.map(({ output }) => output);
  }

  feeds(): Readonly<Record<string, Feed>> {
    return this.#feeds;
  }

  /** Takes a step's states for the next one. */
  replace(results: Readonly<Record<string, Result>>): void {
    for (const { input, output, dtype } of this.#carried) {
      const { data, shape } = results[output]!;
      this.#feeds[input] = { dtype, data, shape } as Feed;
    }
  }
}
