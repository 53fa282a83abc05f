/** Rules to the edits of one step: which rows of the step they touch, how strongly. */

import type { StepEdit } from "../lane-feeds.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import { operationEdit } from "./operator-rules.ts";
import { isCollectRule, isOperatorRule, type Rule } from "./rules.ts";

/** Edits for columns [from, to); `point` maps an intervention's index to the session's point. */
export function editsOf(
  rules: readonly Rule[],
  layout: PromptBatch,
  from: number,
  to: number,
  point: (index: number) => number,
): StepEdit[] {
  const found = new Map<Uint8Array, readonly number[]>();
  const touched = (mask: Uint8Array) => {
    const known = found.get(mask) ?? touchedRows(mask, layout, from, to);
    found.set(mask, known);
    return known;
  };
  return rules.flatMap((rule): readonly StepEdit[] => {
    if (isCollectRule(rule)) return [];
    if (isOperatorRule(rule)) return operationEdit(rule, from, to, point(rule.index));
    const rows = touched(rule.touches);
    if (rows.length === 0) return [];
    const weights = rows.map((row) => rule.strengths[Math.floor(row / (to - from))]!);
    return [{ point: point(rule.index), add: rule.add, clear: rule.clear, rows, weights }];
  });
}

/** Flattened rows (row x step + column) of the step that a mask marks. */
export function touchedRows(mask: Uint8Array, layout: PromptBatch, from: number, to: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < layout.rows; row++) {
    for (let column = from; column < to; column++) {
      if (mask[row * layout.columns + column] === 1) rows.push(row * (to - from) + column - from);
    }
  }
  return rows;
}
