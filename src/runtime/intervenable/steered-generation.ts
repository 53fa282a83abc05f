/** What an IntervenableModel asks of a generation: edits by tokens policy or by locations, activations to keep. */
import { VeneError } from "../../base/errors.ts";
import type { TokensPolicy } from "../../spec/tokens.ts";
import type { CollectedRow } from "../generation-stream.ts";
import type { SteeringPlan } from "../steering.ts";
import type { RuleContext } from "./cells.ts";
import { featuresOf } from "./collected.ts";
import { editsOf, touchedRows } from "./edits.ts";
import { policyMask } from "./policy.ts";
import type { Resolved } from "./resolve.ts";
import { isCollectRule, isOperatorRule, maskRule, type Rule } from "./rules.ts";

export interface PlanContext extends RuleContext {
  readonly resolved: readonly Resolved[];
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
    return maskRule(resolved, index, mask, context, strengths(resolved));
  });
}

/** What is kept of a place's values: the features chosen, head after head where heads are addressed. */
function unitsOf(
  { entry, place, columns }: Resolved,
  read: Float32Array,
  heads: readonly number[] | undefined,
): Float32Array {
  if (entry.site.unit === "pos" || place.heads === undefined) return featuresOf(read, columns);
  const { count, size } = place.heads;
  const parts = (heads ?? [...new Array(count).keys()]).map((head) =>
    featuresOf(read.subarray(head * size, (head + 1) * size), columns),
  );
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** True when a block of an operator spans several columns, which then have to be in one step. */
function isSpread(rule: Rule): boolean {
  if (!isOperatorRule(rule)) return false;
  return [...rule.blocks.values()].flat().some(({ columns }) => new Set(columns).size > 1);
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
  const collecting = rules.filter(isCollectRule);
  const kept = layout.columnsOf.map(() => new Map<string, CollectedRow[]>());
  const rowsRead = (from: number, to: number) =>
    [...new Set(collecting.flatMap((rule) => touchedRows(rule.keeps, layout, from, to)))].sort((a, b) => a - b);
  return {
    wholePrompt: rules.some(isSpread),
    edits: (from, to) => editsOf(rules, layout, from, to, (index) => indices[index]!),
    reads(from, to) {
      if (collecting.length === 0) return undefined;
      return { points: collecting.map(({ index }) => indices[index]!), rows: rowsRead(from, to) };
    },
    keep(from, to, reads) {
      const rows = rowsRead(from, to);
      for (const rule of collecting) {
        const wanted = new Set(touchedRows(rule.keeps, layout, from, to));
        const one = resolved[rule.index]!;
        const { width } = one.place;
        const values = reads.get(indices[rule.index]!)!;
        rows.forEach((flat, i) => {
          if (!wanted.has(flat)) return;
          const row = Math.floor(flat / (to - from));
          const position = layout.columnsOf[row]!.indexOf(from + (flat % (to - from)));
          const list = kept[row]!.get(one.entry.key) ?? [];
          const read = values.slice(i * width, (i + 1) * width);
          list.push({ position, values: unitsOf(one, read, rule.heads[row]) });
          kept[row]!.set(one.entry.key, list);
        });
      }
    },
    collected: (row) => kept[row]!,
  };
}
