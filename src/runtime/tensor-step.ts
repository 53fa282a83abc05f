/** One run of a model that takes tensors: its inputs and the work at points in, first output and readings out. */
import { io } from "../arch/decoder.ts";
import type { Tensor } from "../base/tensor.ts";
import { laneNames } from "../interventions/points.ts";
import { indices, LaneFeeds, type PointWork } from "./lane-feeds.ts";
import type { Lease } from "./model-sessions.ts";
import type { Feed } from "./ort.ts";
import type { PromptBatch } from "./prompt-batch.ts";
import type { StepResult } from "./token-run.ts";

/** Throws `runtime-failed`, `released`. `logitRows`: rows of the first output. */
export async function tensorStep(
  lease: Lease,
  { rows, columns }: PromptBatch,
  tensors: Readonly<Record<string, Tensor>>,
  logitRows: readonly number[],
  work: PointWork,
): Promise<StepResult> {
  const points = work.reads?.points ?? [];
  const inputs = Object.entries(tensors).map(([name, tensor]) => [name, feedOf(tensor)] as const);
  const feeds = {
    ...Object.fromEntries(inputs),
    [io.logitRows]: indices(logitRows),
    ...new LaneFeeds(lease).feeds(work, rows * columns),
  };
  const results = await lease.session.run(feeds, [io.logits, ...points.map(laneNames.read)]);
  return {
    logits: results[io.logits]!,
    reads: new Map(points.map((point) => [point, results[laneNames.read(point)]!.data])),
  };
}

/** The dtypes are those that a model's inputs were checked to have. */
function feedOf({ dtype, shape, bytes }: Tensor): Feed {
  const { buffer } = new Uint8Array(bytes);
  if (dtype === "int64") return { dtype, data: new BigInt64Array(buffer), shape };
  return dtype === "bool"
    ? { dtype, data: new Uint8Array(buffer), shape }
    : { dtype: "float32", data: new Float32Array(buffer), shape };
}
