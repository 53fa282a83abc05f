/** Feeds tokens through a leased session step by step: masks, positions, cache, edits in; logits and readings out. */
import { io } from "../arch/decoder.ts";
import type { ModelShape } from "../arch/family.ts";
import { BankBuilder, type Edit } from "../interventions/bank.ts";
import { laneNames } from "../interventions/points.ts";
import { KvCache } from "./kv-cache.ts";
import type { Lease } from "./model-sessions.ts";
import type { Feed, Result } from "./ort.ts";
import { attentionMask, type PromptBatch, positionIds } from "./prompt-batch.ts";

export interface Step {
  /** int ids [rows x count], row after row. */
  readonly ids: Int32Array;
  /** Rows of the flattened step (row x count + column) whose logits are wanted. */
  readonly logitRows: readonly number[];
  /** Edits of the session's points; their rows are rows of the flattened step. */
  readonly edits: readonly Edit[];
  /** Points to read and the flattened rows to read there. */
  readonly reads?: { readonly points: readonly number[]; readonly rows: readonly number[] };
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
  readonly #cache: KvCache;
  readonly #bank: BankBuilder;

  constructor(lease: Lease, shape: ModelShape, batch: PromptBatch) {
    this.#lease = lease;
    this.#batch = batch;
    this.#cache = new KvCache(shape, batch.rows, batch.columns);
    this.#bank = new BankBuilder(lease.lanes);
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
    const fetches = [io.logits, ...(keep ? this.#cache.outputs : []), ...points.map(laneNames.read)];
    const results = await this.#lease.session.run(this.#feeds(step, count), fetches);
    if (keep) this.#cache.append(results, count);
    return {
      logits: results[io.logits]!,
      reads: new Map(points.map((point) => [point, results[laneNames.read(point)]!.data])),
    };
  }

  #feeds(step: Step, count: number): Record<string, Feed> {
    const { rows } = this.#batch;
    const from = this.done;
    const to = from + count;
    const slots = this.#cache.slots;
    return {
      [io.inputIds]: { dtype: "int64", data: BigInt64Array.from(step.ids, BigInt), shape: [rows, count] },
      [io.positionIds]: { dtype: "int64", data: positionIds(this.#batch, from, to), shape: [rows, count] },
      [io.attentionMask]: {
        dtype: "bool",
        data: attentionMask(this.#batch, from, to, slots),
        shape: [rows, 1, count, slots + count],
      },
      [io.logitRows]: indices(step.logitRows),
      ...this.#cache.feeds(),
      ...this.#laneFeeds(step, rows * count),
    };
  }

  #laneFeeds(step: Step, rows: number): Record<string, Feed> {
    const { lanes } = this.#lease;
    const feeds: Record<string, Feed> = {};
    if (lanes.reads) feeds[laneNames.readRows] = indices(step.reads?.rows ?? []);
    if (lanes.vectorWidth === 0) return feeds;
    const { select, patterns, vectors, clears } = this.#bank.build(step.edits, rows);
    feeds[laneNames.select] = { dtype: "float32", data: select, shape: [rows, patterns] };
    feeds[laneNames.vectors] = { dtype: "float32", data: vectors, shape: [patterns, lanes.vectorWidth] };
    if (lanes.clearWidth > 0) {
      feeds[laneNames.clears] = { dtype: "float32", data: clears, shape: [patterns, lanes.clearWidth] };
    }
    return feeds;
  }
}

function indices(rows: readonly number[]): Feed {
  return { dtype: "int64", data: BigInt64Array.from(rows, BigInt), shape: [rows.length] };
}
