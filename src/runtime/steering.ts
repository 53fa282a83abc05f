/** What a generation asks of the interventions on it; implemented by IntervenableModel, absent for a plain run. */
import type { Point } from "../interventions/points.ts";
import type { CollectedRow } from "./generation-stream.ts";
import type { StepEdit } from "./lane-feeds.ts";
import type { PromptBatch } from "./prompt-batch.ts";

export interface Steering {
  readonly points: readonly Point[];
  /** `layout` spans prompt and tokens to come; `indices` are the session's points that serve `points`. */
  plan(layout: PromptBatch, promptColumns: number, indices: readonly number[]): SteeringPlan;
}

/** All about columns [from, to) of the layout; rows are those of the flattened step. */
export interface SteeringPlan {
  /** Whether the prompt must be read in one step, because an edit needs several of its columns at once. */
  readonly wholePrompt: boolean;
  edits(from: number, to: number): readonly StepEdit[];
  reads(from: number, to: number): { readonly points: readonly number[]; readonly rows: readonly number[] } | undefined;
  /** Takes what was read. */
  keep(from: number, to: number, reads: ReadonlyMap<number, Float32Array>): void;
  /** By intervention key, for one row of the batch. */
  collected(row: number): ReadonlyMap<string, readonly CollectedRow[]>;
}
