/** Rules of operators: the blocks they change, each with its cells, its source and the features chosen. */
import { VeneError } from "../../base/errors.ts";
import type { OperationEdit } from "../../interventions/operation.ts";
import { checkPairing, type ExpandedCells, expandCells, type RuleContext } from "./cells.ts";
import { type ResolvedOperator, sourceMissing } from "./resolve.ts";
import type { RuleSides, SourceSide } from "./rule-sides.ts";
import { offsetOf } from "./vectors.ts";

/** What an operator changes in one go. */
export interface Block {
  readonly row: number;
  /** Columns of the layout, one per cell. */
  readonly columns: readonly number[];
  /** Heads, one per cell; all 0 where there are none. */
  readonly heads: readonly number[];
  /** [n] */
  readonly source: Float32Array | undefined;
  /** [features] */
  readonly select: Float32Array | undefined;
  readonly strength: number;
}

export interface OperatorRule {
  readonly index: number;
  readonly resolved: ResolvedOperator;
  /** By last column: all cells of a block are in the step that it belongs to. */
  readonly blocks: ReadonlyMap<number, readonly Block[]>;
}

/** One unit of a row: which of the row's tokens, which head, and where both are in the order that locations gave. */
interface Cell {
  readonly position: number;
  readonly head: number;
  readonly unit: number;
  readonly headUnit: number;
}

/** The rule of an operator at explicit cells per row. Throws `locations-invalid`, `sources-invalid`, `intervention-invalid`. */
export function operatorCellRule(
  resolved: ResolvedOperator,
  index: number,
  sides: RuleSides,
  context: RuleContext,
  strengths: readonly number[],
): OperatorRule {
  const { layout } = context;
  const selections = new Selections(resolved);
  const blocks = new Blocks();
  for (let row = 0; row < layout.rows; row++) {
    const strength = strengths[row]!;
    const base = expandCells(sides.base[row]!, context, row, resolved);
    const sourceCells = sides.source?.cells[row] ?? base;
    checkPairing(resolved, base, sourceCells);
    const select = selections.of(sides.columns?.[row]);
    for (const cells of grouped(resolved, base)) {
      const source = resolved.bound.operation.operator.takesSource
        ? sourceOf(resolved, cells, { row, base, side: sides.source, cells: sourceCells })
        : undefined;
      const columns = cells.map(({ position }) => layout.columnsOf[row]![position]!);
      if (strength !== 0) blocks.add({ row, columns, heads: cells.map(({ head }) => head), source, select, strength });
    }
  }
  return { index, resolved, blocks: blocks.byLastColumn };
}

/** The rule of an operator without run-time source at every cell of a mask. Throws `locations-invalid` for units together. */
export function operatorMaskRule(
  resolved: ResolvedOperator,
  index: number,
  touches: Uint8Array,
  context: RuleContext,
  strengths: readonly number[],
): OperatorRule {
  const { layout } = context;
  const base = layout.columnsOf.map((columns, row) => ({
    positions: [...columns.keys()].filter((p) => touches[row * layout.columns + columns[p]!] === 1),
    heads: undefined,
  }));
  // Every column counts as known here: the mask has already been checked against the prompt.
  const all = { ...context, promptColumns: layout.columns };
  const columns = new Array<readonly number[] | undefined>(layout.rows).fill(resolved.columns);
  return operatorCellRule(resolved, index, { base, columns: columns as RuleSides["columns"] }, all, strengths);
}

/** Blocks by last column; a cell that is named twice is written once, as pyvene's scatter does: the last one stays. */
class Blocks {
  readonly byLastColumn = new Map<number, Block[]>();

  add(block: Block): void {
    const last = Math.max(...block.columns);
    const list = this.byLastColumn.get(last) ?? [];
    this.byLastColumn.set(
      last,
      list.filter((other) => !sameCells(other, block)),
    );
    this.byLastColumn.get(last)!.push(block);
  }
}

function sameCells(one: Block, other: Block): boolean {
  return (
    one.row === other.row && one.columns.join() === other.columns.join() && one.heads.join() === other.heads.join()
  );
}

/** A row's cells in blocks: pyvene flattens positions, or at each position the heads. Throws `locations-invalid`. */
function grouped({ entry, place, bound }: ResolvedOperator, { positions, heads }: ExpandedCells): Cell[][] {
  const { units, cellWidth } = bound.operation;
  const byHead = cellWidth !== place.width;
  const chosen = byHead ? (heads ?? [...new Array(place.heads!.count).keys()]) : [0];
  const cells = positions.map((position, unit) => chosen.map((head, headUnit) => ({ position, head, unit, headUnit })));
  if (units === 1) return cells.flat().map((cell) => [cell]);
  const blocks = byHead ? cells : [cells.flat()];
  const wrong = blocks.find((block) => block.length !== units);
  if (wrong === undefined) return blocks;
  throw new VeneError("locations-invalid", `${entry.key} acts on ${units} units at once, but on ${wrong.length} here`, {
    hint: `name ${units} ${byHead ? "heads" : "positions"} per row: that is its maxNumberOfUnits`,
    details: { key: entry.key, expected: units, found: wrong.length },
  });
}

interface SourceCells {
  readonly row: number;
  readonly base: ExpandedCells;
  readonly side: SourceSide | undefined;
  readonly cells: ExpandedCells;
}

/** A block's source, cell after cell. */
function sourceOf(resolved: ResolvedOperator, block: readonly Cell[], at: SourceCells): Float32Array {
  const { cellWidth } = resolved.bound.operation;
  const out = new Float32Array(block.length * cellWidth);
  block.forEach((cell, i) => {
    out.set(
      at.side === undefined ? constantCell(resolved, cell, at) : readCell(resolved, cell, at, at.side),
      i * cellWidth,
    );
  });
  return out;
}

function readCell(resolved: ResolvedOperator, cell: Cell, at: SourceCells, side: SourceSide): Float32Array {
  const { cellWidth } = resolved.bound.operation;
  const head = at.cells.heads?.[cell.headUnit] ?? cell.head;
  const values = side.read(at.row, at.cells.positions[cell.unit]!);
  return values.subarray(head * cellWidth, (head + 1) * cellWidth);
}

function constantCell(resolved: ResolvedOperator, cell: Cell, at: SourceCells): Float32Array {
  const { constant, bound } = resolved;
  const { cellWidth } = bound.operation;
  if (constant === undefined) throw sourceMissing(resolved);
  const width = constant.shape.at(-1)!;
  const start = offsetOf(resolved, constant.shape, at.row, cell.unit, at.base.positions.length);
  const from = start + (width === cellWidth ? 0 : cell.head * cellWidth);
  return constant.values.subarray(from, from + cellWidth);
}

/** Chosen features as ones, made once per choice. */
class Selections {
  readonly #resolved: ResolvedOperator;
  readonly #known = new Map<string, Float32Array>();

  constructor(resolved: ResolvedOperator) {
    this.#resolved = resolved;
  }

  /** Throws `intervention-invalid` for features that do not exist, or where there are none to choose. */
  of(columns: readonly number[] | undefined): Float32Array | undefined {
    const { bound, entry } = this.#resolved;
    const { features } = bound.operation;
    if (features === undefined) {
      if (columns === undefined) return undefined;
      throw new VeneError(
        "intervention-invalid",
        `${entry.key}: ${entry.kind} interventions have no subspaces to choose from`,
      );
    }
    const beyond = columns?.find((column) => column >= features);
    if (beyond !== undefined) {
      throw new VeneError(
        "intervention-invalid",
        `${entry.key}: feature ${beyond} does not exist, there are ${features}`,
        { details: { key: entry.key, feature: beyond, width: features } },
      );
    }
    const key = columns?.join() ?? "all";
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const select = new Float32Array(features).fill(columns === undefined ? 1 : 0);
    for (const column of columns ?? []) select[column] = 1;
    this.#known.set(key, select);
    return select;
  }
}

/** The edit of one step, columns [from, to), as a list of one; none when it touches nothing there. */
export function operationEdit(rule: OperatorRule, from: number, to: number, point: number): readonly OperationEdit[] {
  const { place, bound } = rule.resolved;
  const { cellWidth, units, features } = bound.operation;
  const heads = place.width / cellWidth;
  const blocks: Block[] = [];
  for (let column = from; column < to; column++) blocks.push(...(rule.blocks.get(column) ?? []));
  if (blocks.length === 0) return [];
  const count = to - from;
  const cells = blocks.flatMap((block) =>
    block.columns.map((column, i) => (block.row * count + column - from) * heads + block.heads[i]!),
  );
  const hasSource = blocks[0]!.source !== undefined;
  return [
    {
      point,
      cells,
      source: hasSource ? stacked(blocks, ({ source }) => source!, units * cellWidth) : undefined,
      select: features === undefined ? undefined : stacked(blocks, ({ select }) => select!, features),
      strengths: blocks.map(({ strength }) => strength),
      tensors: bound.tensors,
    },
  ];
}

function stacked(blocks: readonly Block[], part: (block: Block) => Float32Array, width: number): Float32Array {
  const out = new Float32Array(blocks.length * width);
  blocks.forEach((block, i) => {
    out.set(part(block), i * width);
  });
  return out;
}
