/** Runs of sources (and of the base as it is): batches of equal length go through the model together, read where needed. */
import { allRows, forwardPass } from "../forward.ts";
import type { Model } from "../model.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import { editsOf } from "./edits.ts";
import { pointsOf, type Resolved, sourcePointOf } from "./resolve.ts";
import type { Rule } from "./rules.ts";
import type { SourceReader } from "./vectors.ts";

/** Tokens that runs put together may have. */
const MOST_TOGETHER = 4096;

/** One batch to run, what to read of it, and whether its logits are wanted. */
export interface RunRequest {
  readonly batch: PromptBatch;
  /** By intervention: flattened rows (row x columns + column) to read of its source point. */
  readonly reads: ReadonlyMap<number, readonly number[]>;
  readonly logits: boolean;
}

export interface RunResult {
  /** By intervention. */
  readonly readers: ReadonlyMap<number, SourceReader>;
  /** [rows x columns, vocabulary]; empty when not wanted. */
  readonly logits: Float32Array;
}

/** Runs of a model under some interventions' points. */
export class SourceRuns {
  readonly #model: Model;
  readonly #resolved: readonly Resolved[];

  constructor(model: Model, resolved: readonly Resolved[]) {
    this.#model = model;
    this.#resolved = resolved;
  }

  /** Results in order of the requests; batches of equal length are run as one. */
  async all(requests: readonly RunRequest[]): Promise<RunResult[]> {
    const results = new Map<RunRequest, RunResult>();
    for (const together of batches(requests)) {
      const found = await this.#run(together, []);
      together.forEach((request, i) => {
        results.set(request, found[i]!);
      });
    }
    return requests.map((request) => results.get(request)!);
  }

  /** One request, itself intervened on by `active` rules. */
  async one(request: RunRequest, active: readonly Rule[]): Promise<RunResult> {
    return (await this.#run([request], active))[0]!;
  }

  async #run(requests: readonly RunRequest[], active: readonly Rule[]): Promise<RunResult[]> {
    const { batch, starts } = stacked(requests.map((request) => request.batch));
    const below = (i: number, rows: readonly number[]) => rows.map((row) => row + starts[i]! * batch.columns);
    const readRows = requests.flatMap(({ reads }, i) => below(i, [...reads.values()].flat()));
    const rows = [...new Set(readRows)].sort((a, b) => a - b);
    const wanted = [...new Set(requests.flatMap(({ reads }) => [...reads.keys()]))];
    const logitRows = requests.map((request, i) => (request.logits ? below(i, allRows(request.batch)) : []));
    const result = await forwardPass(this.#model, {
      batch,
      points: pointsOf(this.#resolved),
      edits: editsOf(active, batch, 0, batch.columns, (index) => index),
      reads: { points: wanted.map((index) => sourcePointOf(this.#resolved, index)), rows },
      logitRows: logitRows.flat(),
    });
    const rowAt = new Map(rows.map((row, at) => [row, at]));
    const rowLength = result.logits.length / Math.max(1, logitRows.flat().length);
    const logits = cut(
      result.logits,
      logitRows.map((rows) => rows.length * rowLength),
    );
    return requests.map((request, i) => {
      const reader = (index: number): SourceReader => {
        const values = result.reads.get(sourcePointOf(this.#resolved, index))!;
        const { width } = this.#resolved[index]!.place;
        return (row, position) => {
          const start = rowAt.get(starts[i]! * batch.columns + flatRow(request.batch, row, position))! * width;
          return values.subarray(start, start + width);
        };
      };
      return { logits: logits[i]!, readers: new Map([...request.reads.keys()].map((index) => [index, reader(index)])) };
    });
  }
}

/** row x columns + column of a real token; a source of one row serves every row. */
export function flatRow({ rows, columns, columnsOf }: PromptBatch, row: number, position: number): number {
  const at = rows === 1 ? 0 : row;
  return at * columns + columnsOf[at]![position]!;
}

/** Consecutive pieces of the given lengths, as views. */
function cut(values: Float32Array, lengths: readonly number[]): Float32Array[] {
  let done = 0;
  return lengths.map((length) => {
    done += length;
    return values.subarray(done - length, done);
  });
}

/** Requests that may go together, in order: equal length, not too many tokens. Tensors go alone. */
function batches(requests: readonly RunRequest[]): RunRequest[][] {
  const open = new Map<number, RunRequest[]>();
  const all: RunRequest[][] = [];
  for (const request of requests) {
    const { columns } = request.batch;
    const list = open.get(columns);
    const tokens = [...(list ?? []), request].reduce((sum, { batch }) => sum + batch.rows * columns, 0);
    if (list !== undefined && request.batch.tensors === undefined && tokens <= MOST_TOGETHER) list.push(request);
    else {
      const fresh = [request];
      open.set(columns, fresh);
      all.push(fresh);
    }
  }
  return all;
}

/** Batches of equal columns under one another, and the row at which each starts. */
function stacked(parts: readonly PromptBatch[]): { batch: PromptBatch; starts: readonly number[] } {
  const [first] = parts;
  if (parts.length === 1) return { batch: first!, starts: [0] };
  const columns = first!.columns;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const ids = new Int32Array(rows * columns);
  const real = new Uint8Array(rows * columns);
  const starts: number[] = [];
  let row = 0;
  for (const part of parts) {
    ids.set(part.ids, row * columns);
    real.set(part.real, row * columns);
    starts.push(row);
    row += part.rows;
  }
  return { batch: { rows, columns, ids, real, columnsOf: parts.flatMap((part) => part.columnsOf) }, starts };
}
