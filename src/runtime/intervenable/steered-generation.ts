/** What an IntervenableModel asks of a generation: edits by tokens policy or by locations, activations to keep. */
import { VeneError } from "../../base/errors.ts";
import type { TokensPolicy } from "../../spec/tokens.ts";
import type { CollectedRow } from "../generation-stream.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import type { SteeringPlan } from "../steering.ts";
import { editsOf, touchedRows } from "./edits.ts";
import { policyMask } from "./policy.ts";
import type { Resolved } from "./resolve.ts";
import { maskRule, type Rule } from "./rules.ts";

export interface PlanContext {
  readonly resolved: readonly Resolved[];
  readonly layout: PromptBatch;
  readonly promptColumns: number;
  /** Session points by intervention. */
  readonly indices: readonly number[];
}

/** Rules by each intervention's tokens policy. Throws `sources-invalid` for interventions that need a run-time source. */
export function policyRules(
  context: PlanContext,
  policyOf: (resolved: Resolved) => TokensPolicy,
  strengths: (resolved: Resolved) => readonly number[],
): Rule[] {
  const masks = new Map<string, Uint8Array>();
  return context.resolved.map((resolved, index) => {
    if (resolved.needsSource) {
      throw new VeneError("sources-invalid", `${resolved.entry.key} takes its value from a source: say where`, {
        hint: 'give sources, and unitLocations (--unit-locations), e.g. { "sources->base": [4, 4] }: position in source and prompt',
        details: { key: resolved.entry.key },
      });
    }
    const policy = policyOf(resolved);
    const key = JSON.stringify(policy);
    const mask = masks.get(key) ?? policyMask(policy, context);
    masks.set(key, mask);
    return maskRule(resolved, index, mask, strengths(resolved));
  });
}

/** A plan over finished rules. Rules of collecting interventions say what is kept. */
export function planOf(context: PlanContext, rules: readonly Rule[]): SteeringPlan {
  const { resolved, layout, indices } = context;
  const weights = resolved.find(({ place }) => place.attention !== undefined);
  if (weights !== undefined) {
    throw new VeneError(
      "intervention-invalid",
      `${weights.entry.key}: attention weights are not collected while generating`,
      {
        hint: "use collect or forward on prompt and answer",
      },
    );
  }
  const collecting = rules.filter(({ index }) => resolved[index]!.kind.collects);
  const editing = rules.filter(({ index }) => !resolved[index]!.kind.collects);
  const kept = layout.columnsOf.map(() => new Map<string, CollectedRow[]>());
  const rowsRead = (from: number, to: number) =>
    [...new Set(collecting.flatMap((rule) => touchedRows(rule.touches, layout, from, to)))].sort((a, b) => a - b);
  return {
    edits: (from, to) => editsOf(editing, layout, from, to, (index) => indices[index]!),
    reads(from, to) {
      if (collecting.length === 0) return undefined;
      return { points: collecting.map(({ index }) => indices[index]!), rows: rowsRead(from, to) };
    },
    keep(from, to, reads) {
      const rows = rowsRead(from, to);
      for (const rule of collecting) {
        const wanted = new Set(touchedRows(rule.touches, layout, from, to));
        const { entry, place, columns } = resolved[rule.index]!;
        const features = entry.site.unit === "pos" ? columns : undefined;
        const values = reads.get(indices[rule.index]!)!;
        rows.forEach((flat, i) => {
          if (!wanted.has(flat)) return;
          const row = Math.floor(flat / (to - from));
          const position = layout.columnsOf[row]!.indexOf(from + (flat % (to - from)));
          const list = kept[row]!.get(entry.key) ?? [];
          const read = values.slice(i * place.width, (i + 1) * place.width);
          list.push({ position, values: features === undefined ? read : Float32Array.from(features, (f) => read[f]!) });
          kept[row]!.set(entry.key, list);
        });
      }
    },
    collected: (row) => kept[row]!,
  };
}
