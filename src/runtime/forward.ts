/** One forward pass over a batch: logits and readings at points, with edits. No generation, no cache kept. */
import type { Point } from "../interventions/points.ts";
import type { PointWork, StepEdit } from "./lane-feeds.ts";
import type { Model } from "./model.ts";
import type { Lease } from "./model-sessions.ts";
import { idsBetween, type PromptBatch } from "./prompt-batch.ts";
import { tensorStep } from "./tensor-step.ts";
import { type StepResult, TokenRun } from "./token-run.ts";

export interface ForwardRequest {
  readonly batch: PromptBatch;
  readonly points: readonly Point[];
  /** Edits by index into `points`; rows are row x columns + column. */
  readonly edits?: readonly StepEdit[];
  /** Indices into `points` to read, and the flattened rows wanted of them. */
  readonly reads?: { readonly points: readonly number[]; readonly rows: readonly number[] };
  /** Flattened rows whose logits are wanted. */
  readonly logitRows: readonly number[];
}

export interface ForwardResult {
  /** [logitRows, vocabulary]; of a model that takes tensors: [logitRows, numbers of its first output per row]. */
  readonly logits: Float32Array;
  /** By index into the request's points, [reads.rows, width]. */
  readonly reads: ReadonlyMap<number, Float32Array>;
}

/** All rows of a batch that have logits, flattened: one per token, or one per row of tensors. */
export function allRows({ rows, columns, tensors }: PromptBatch): number[] {
  return Array.from({ length: tensors === undefined ? rows * columns : rows }, (_, row) => row);
}

/** Throws what sessions throw. */
export async function forwardPass(model: Model, request: ForwardRequest): Promise<ForwardResult> {
  const { batch } = request;
  const lease = await model.lease(request.points);
  try {
    const at = (point: number) => lease.indices[point]!;
    const result = await stepOf(model, lease, batch, request.logitRows, {
      edits: (request.edits ?? []).map((edit) => ({ ...edit, point: at(edit.point) })),
      reads: { points: (request.reads?.points ?? []).map(at), rows: request.reads?.rows ?? [] },
    });
    const reads = (request.reads?.points ?? []).map((point) => [point, result.reads.get(at(point))!] as const);
    return { logits: result.logits.data, reads: new Map(reads) };
  } finally {
    lease.done();
  }
}

function stepOf(
  model: Model,
  lease: Lease,
  batch: PromptBatch,
  logitRows: readonly number[],
  work: PointWork,
): Promise<StepResult> {
  if (batch.tensors !== undefined) return tensorStep(lease, batch, batch.tensors, logitRows, work);
  const run = new TokenRun(lease, model.shape, batch);
  return run.step({ ids: idsBetween(batch, 0, batch.columns), logitRows, ...work }, false);
}
