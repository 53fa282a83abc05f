/** Feeds tokens through a leased session step by step: masks, positions, cache, edits in; logits and readings out. */
import { io } from "../arch/decoder.ts";
import type { ModelShape } from "../arch/family.ts";
import { VeneError } from "../base/errors.ts";
import { laneNames } from "../interventions/points.ts";
import { KvCache } from "./kv-cache.ts";
import { indices, LaneFeeds, type PointWork } from "./lane-feeds.ts";
import type { Lease } from "./model-sessions.ts";
import type { Feed, Result } from "./ort.ts";
import { attentionMask, type PromptBatch, positionIds, tokenMask } from "./prompt-batch.ts";
import { RecurrentStates } from "./recurrent-states.ts";

export interface Step extends PointWork {
  /** int ids [rows x count], row after row. */
  readonly ids: Int32Array;
  /** Rows of the flattened step (row x count + column) whose logits are wanted. */
  readonly logitRows: readonly number[];
}

export interface StepResult {
  /** [logitRows, vocabulary] */
  readonly logits: Result;
  /** Per point read, [rows, width]. */
  readonly reads: ReadonlyMap<number, Float32Array>;
}

/** One pass over a batch: call `step` for consecutive columns. The batch spans prompt and tokens to come. */
export class TokenRun {
  readonly #lease: Lease;
  readonly #batch: PromptBatch;
  readonly #windows: readonly number[];
  readonly #cache: KvCache;
  readonly #states: RecurrentStates;
  readonly #lanes: LaneFeeds;

  constructor(lease: Lease, shape: ModelShape, batch: PromptBatch) {
    if (shape.unpadded !== undefined && batch.real.includes(0)) {
      throw new VeneError("prompt-invalid", `the rows have different lengths, and ${shape.unpadded}`, {
        hint: "run rows of one length at a time",
      });
    }
    this.#lease = lease;
    this.#batch = batch;
    this.#windows = shape.windows ?? [];
    this.#cache = new KvCache(shape, batch.rows, batch.columns);
    this.#states = new RecurrentStates(shape, batch.rows);
    this.#lanes = new LaneFeeds(lease);
  }

  /** Numbers per row that the session's edits take. */
  get editWidth(): number {
    return this.#lease.lanes.vectorWidth + this.#lease.lanes.clearWidth;
  }

  /** Columns done so far. */
  get done(): number {
    return this.#cache.length;
  }

  /** Throws `runtime-failed`, `released`. `keep: false` for the last step of a forward pass, whose keys nobody needs. */
  async step(step: Step, keep = true): Promise<StepResult> {
    const { rows } = this.#batch;
    const count = step.ids.length / rows;
    const points = step.reads?.points ?? [];
    const kept = keep ? [...this.#cache.outputs, ...this.#states.outputs] : [];
    const fetches = [io.logits, ...kept, ...points.map(laneNames.read)];
    const results = await this.#lease.session.run(this.#feeds(step, count), fetches);
    if (keep) {
      this.#cache.append(results, count);
      this.#states.replace(results);
    }
    return {
      logits: results[io.logits]!,
      reads: new Map(points.map((point) => [point, results[laneNames.read(point)]!.data])),
    };
  }

  #feeds(step: Step, count: number): Record<string, Feed> {
    const { rows } = this.#batch;
    const from = this.done;
    const to = from + count;
    return {
      [io.inputIds]: { dtype: "int64", data: BigInt64Array.from(step.ids, BigInt), shape: [rows, count] },
      ...this.#placeFeeds(from, to),
      [io.logitRows]: indices(step.logitRows),
      ...this.#cache.feeds(),
      ...this.#states.feeds(),
      ...this.#lanes.feeds(step, rows * count),
    };
  }

  /** Where the step's tokens stand and what they see, as far as the family asks. */
  #placeFeeds(from: number, to: number): Record<string, Feed> {
    const { inputs } = this.#lease.session;
    const feeds: Record<string, Feed> = {};
    const shape = [this.#batch.rows, to - from];
    if (inputs.has(io.positionIds)) {
      feeds[io.positionIds] = { dtype: "int64", data: positionIds(this.#batch, from, to), shape };
    }
    if (inputs.has(io.tokenMask))
      feeds[io.tokenMask] = { dtype: "bool", data: tokenMask(this.#batch, from, to), shape };
    if (inputs.has(io.realTokens)) {
      const data = BigInt64Array.from(tokenMask(this.#batch, 0, to), BigInt);
      feeds[io.realTokens] = { dtype: "int64", data, shape: [this.#batch.rows, to] };
    }
    return inputs.has(io.attentionMask) ? { ...feeds, ...this.#maskFeeds(from, to) } : feeds;
  }

  #maskFeeds(from: number, to: number): Record<string, Feed> {
    const { slots } = this.#cache;
    const shape = [this.#batch.rows, 1, to - from, slots + to - from];
    const mask = (window?: number): Feed => {
      return { dtype: "bool", data: attentionMask(this.#batch, from, to, slots, window), shape };
    };
    const windowed = this.#windows.map((window): [string, Feed] => [io.windowMask(window), mask(window)]);
    return { [io.attentionMask]: mask(), ...Object.fromEntries(windowed) };
  }
}
