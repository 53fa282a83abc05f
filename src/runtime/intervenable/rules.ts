/** From locations and token policies to rules: what is added and cleared, or operated on, at which cells of the layout. */
import { checkPairing, expandCells, type RuleContext } from "./cells.ts";
import { type OperatorRule, operatorCellRule, operatorMaskRule } from "./operator-rules.ts";
import { isOperator, type Resolved, type ResolvedAffine } from "./resolve.ts";
import type { RuleSides } from "./rule-sides.ts";
import { partKey, partOf, Vectors } from "./vectors.ts";

/** One edit at all cells marked in `touches` ([rows x columns] of the layout), with one strength per row. */
export interface AffineRule {
  /** Index of the intervention, which is its index among the points. */
  readonly index: number;
  readonly add: Float32Array | undefined;
  readonly clear: Float32Array | undefined;
  readonly touches: Uint8Array;
  readonly strengths: readonly number[];
}

/** Cells whose values a generation keeps; `heads` per row, undefined: all. */
export interface CollectRule {
  readonly index: number;
  readonly keeps: Uint8Array;
  readonly heads: readonly (readonly number[] | undefined)[];
}

export type Rule = AffineRule | OperatorRule | CollectRule;

export function isCollectRule(rule: Rule): rule is CollectRule {
  return "keeps" in rule;
}

export function isOperatorRule(rule: Rule): rule is OperatorRule {
  return "blocks" in rule;
}

/** The rule of an intervention without run-time source at the cells of a mask, all heads alike. */
export function maskRule(
  resolved: Resolved,
  index: number,
  touches: Uint8Array,
  context: RuleContext,
  strengths: readonly number[],
): Rule {
  if (isOperator(resolved)) return operatorMaskRule(resolved, index, touches, context, strengths);
  if (resolved.collects) return { index, keeps: touches, heads: context.layout.columnsOf.map(() => undefined) };
  const vectors = new Vectors(resolved);
  const part = partOf(resolved, undefined, resolved.columns);
  return { index, add: vectors.constant(part), clear: vectors.clear(part), touches, strengths };
}

/** Rules of one intervention at explicit cells per row. Throws `locations-invalid`, `sources-invalid`, `intervention-invalid`. */
export function cellRules(
  resolved: Resolved,
  index: number,
  sides: RuleSides,
  context: RuleContext,
  strengths: readonly number[],
): Rule[] {
  if (isOperator(resolved)) return [operatorCellRule(resolved, index, sides, context, strengths)];
  return affineCellRules(resolved, index, sides, context, strengths);
}

function affineCellRules(
  resolved: ResolvedAffine,
  index: number,
  sides: RuleSides,
  context: RuleContext,
  strengths: readonly number[],
): AffineRule[] {
  const { layout } = context;
  const vectors = new Vectors(resolved);
  const rules = new RuleSet(index, layout.rows * layout.columns, strengths);
  for (let row = 0; row < layout.rows; row++) {
    const base = expandCells(sides.base[row]!, context, row, resolved);
    const source = sides.source?.cells[row] ?? base;
    checkPairing(resolved, base, source);
    const part = partOf(resolved, base.heads, sides.columns?.[row]);
    base.positions.forEach((position, unit) => {
      const cell = { ...part, row, unit, units: base.positions.length, source };
      const add = vectors.at(sides.source?.read, cell);
      rules.mark(row * layout.columns + layout.columnsOf[row]![position]!, add, vectors.clear(part), partKey(part));
    });
  }
  return rules.list();
}

/** Rules that grow cell by cell; cells with the same vector and part share a rule. */
class RuleSet {
  readonly #rules = new Map<string, AffineRule>();
  readonly #owners = new Map<string, AffineRule>();
  readonly #ids = new Map<Float32Array | undefined, number>();
  readonly #index: number;
  readonly #cells: number;
  readonly #strengths: readonly number[];

  constructor(index: number, cells: number, strengths: readonly number[]) {
    this.#index = index;
    this.#cells = cells;
    this.#strengths = strengths;
  }

  /** A unit named twice is written once, as pyvene's scatter does: the last one stays. */
  mark(cell: number, add: Float32Array | undefined, clear: Float32Array | undefined, part: string): void {
    if (!this.#ids.has(add)) this.#ids.set(add, this.#ids.size);
    const key = `${this.#ids.get(add)}|${part}`;
    const rule = this.#rules.get(key) ?? {
      index: this.#index,
      add,
      clear,
      touches: new Uint8Array(this.#cells),
      strengths: this.#strengths,
    };
    this.#rules.set(key, rule);
    const owner = this.#owners.get(`${cell}|${part}`);
    if (owner !== undefined) owner.touches[cell] = 0;
    this.#owners.set(`${cell}|${part}`, rule);
    rule.touches[cell] = 1;
  }

  list(): AffineRule[] {
    return [...this.#rules.values()];
  }
}
