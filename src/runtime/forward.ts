/** One forward pass over a batch: logits and readings at points, with edits. No generation, no cache kept. */
import type { Edit } from "../interventions/bank.ts";
import type { Point } from "../interventions/points.ts";
import type { Model } from "./model.ts";
import { idsBetween, type PromptBatch } from "./prompt-batch.ts";
import { TokenRun } from "./token-run.ts";

export interface ForwardRequest {
  readonly batch: PromptBatch;
  readonly points: readonly Point[];
  /** Edits by index into `points`; rows are row x columns + column. */
  readonly edits?: readonly Edit[];
  /** Indices into `points` to read, and the flattened rows wanted of them. */
  readonly reads?: { readonly points: readonly number[]; readonly rows: readonly number[] };
  /** Flattened rows whose logits are wanted. */
  readonly logitRows: readonly number[];
}

export interface ForwardResult {
  /** [logitRows, vocabulary] */
  readonly logits: Float32Array;
  /** By index into the request's points, [reads.rows, width]. */
  readonly reads: ReadonlyMap<number, Float32Array>;
}

/** All rows of a batch, flattened. */
export function allRows(batch: PromptBatch): number[] {
  return Array.from({ length: batch.rows * batch.columns }, (_, row) => row);
}

/** Throws what sessions throw. */
export async function forwardPass(model: Model, request: ForwardRequest): Promise<ForwardResult> {
  const { batch } = request;
  const lease = await model.lease(request.points);
  try {
    const run = new TokenRun(lease, model.shape, batch);
    const at = (point: number) => lease.indices[point]!;
    const result = await run.step(
      {
        ids: idsBetween(batch, 0, batch.columns),
        logitRows: request.logitRows,
        edits: (request.edits ?? []).map((edit) => ({ ...edit, point: at(edit.point) })),
        reads: { points: (request.reads?.points ?? []).map(at), rows: request.reads?.rows ?? [] },
      },
      false,
    );
    const reads = (request.reads?.points ?? []).map((point) => [point, result.reads.get(at(point))!] as const);
    return { logits: result.logits.data, reads: new Map(reads) };
  } finally {
    lease.done();
  }
}
