/** forward() as pyvene means it: sources are run and read, the base is run with what was read, in parallel or in series. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import { allRows, forwardPass } from "../forward.ts";
import type { Model } from "../model.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import { outputTensor } from "../tensor-batch.ts";
import { type ExpandedCells, expandCells, type RuleContext } from "./cells.ts";
import { collectedTensor, collectedUnits } from "./collected.ts";
import { editsOf } from "./edits.ts";
import { groupsOf, strengthsOf } from "./groups.ts";
import { type BatchInput, batchOf } from "./inputs.ts";
import { parallelLeg, serialLeg } from "./legs.ts";
import { type Cells, everywhere, type Leg, type UnitLocations } from "./locations.ts";
import { pointsOf, type Resolved, sourceMissing } from "./resolve.ts";
import { cellRules, type Rule } from "./rules.ts";
import { type SourceRepresentations, withRepresentations } from "./source-representations.ts";
import { flatRow, type RunRequest, type RunResult, SourceRuns } from "./source-runs.ts";
import { columnsOfSubspaces, type Subspaces, subspacesOf } from "./subspaces.ts";
import type { SourceReader } from "./vectors.ts";

export interface ForwardInput {
  readonly base: BatchInput;
  /** One per group of interventions (without groups: one per intervention), null for those that need none; one source serves all. */
  readonly sources?: readonly (BatchInput | null)[] | undefined;
  /** Which units are read and written; absent = everywhere. */
  readonly unitLocations?: UnitLocations | null | undefined;
  /** Values in place of a source's, by intervention key: [width], or broadcasting over [batch, units, width]. */
  readonly sourceRepresentations?: SourceRepresentations | undefined;
  /** Features touched, per intervention and row: indices, or numbers of parts where there is a partition. null = all. */
  readonly subspaces?: Subspaces | null | undefined;
  /** Used in place of each artefact's default, for all rows or per row. */
  readonly strength?: number | readonly number[] | undefined;
  /** Run the base without interventions, too. Default true. */
  readonly outputOriginalOutput?: boolean | undefined;
}

export const forwardInputNames = [
  "base",
  "sources",
  "unitLocations",
  "sourceRepresentations",
  "subspaces",
  "strength",
  "outputOriginalOutput",
] as const satisfies readonly (keyof ForwardInput)[];

export interface ForwardOutput {
  /** float32 [batch, positions, vocabulary]; of a model that takes tensors, its first output. */
  readonly logits: Tensor;
}

export interface ForwardResult {
  /** The base without interventions; absent when `outputOriginalOutput` is false. */
  readonly original?: ForwardOutput;
  readonly intervened: ForwardOutput;
  /** int64 [batch, positions]: 1 for real tokens. Prompts of different lengths are padded on the left. */
  readonly attentionMask: Tensor;
  /** One per collecting intervention, in order: [batch, positions, width], or [batch, heads, positions, size] for heads. */
  readonly collected: readonly Tensor[];
}

/** What a group of interventions takes its values from: a batch to run, nothing, or (pyvene's null) the group is left out. */
type GroupSource = PromptBatch | "none" | "skipped";

type Input = Omit<ForwardInput, "base">;

/** Cells of a source per intervention that reads it, per row of the batch that is written. */
type SourceCells = ReadonlyMap<number, readonly ExpandedCells[]>;

/** What the base is run with. */
export interface Prepared {
  readonly rules: readonly Rule[];
  readonly leg: Leg;
  /** The base as it is, where it was asked for: [rows x columns, vocabulary]. */
  readonly original: Float32Array | undefined;
}

/** One forward computation; holds what its steps share. */
export class Forward {
  readonly #model: Model;
  readonly #resolved: readonly Resolved[];
  readonly #base: PromptBatch;
  readonly #runs: SourceRuns;

  constructor(model: Model, resolved: readonly Resolved[], base: BatchInput, given?: SourceRepresentations) {
    this.#model = model;
    this.#resolved = withRepresentations(resolved, given);
    this.#base = this.#batchOf(base);
    this.#runs = new SourceRuns(model, this.#resolved);
  }

  get attentionMask(): Tensor {
    const { rows, columns, real } = this.#base;
    return Tensor.int64([rows, columns], [...real]);
  }

  get batch(): PromptBatch {
    return this.#base;
  }

  /** Interventions as they are in this computation. */
  get resolved(): readonly Resolved[] {
    return this.#resolved;
  }

  /** Runs the sources and, where `original`, the base as it is. Throws `sources-invalid`, `locations-invalid`. */
  async prepare(input: Input, mode: "parallel" | "serial", original: boolean): Promise<Prepared> {
    const groups = groupsOf(this.#resolved);
    const sources = this.#sources(input.sources, groups);
    const serial = mode === "serial" && sources.some((source) => typeof source === "object");
    return serial ? this.#serial(input, groups, sources, original) : this.#parallel(input, groups, sources, original);
  }

  /** Runs the base with the rules, and reads what collecting interventions want. */
  async run(
    { rules, leg }: Pick<Prepared, "rules" | "leg">,
    subspaces?: ForwardInput["subspaces"],
  ): Promise<{ logits: Tensor; collected: Tensor[] }> {
    const batch = this.#base;
    const wanted = this.#resolved.flatMap((resolved, i) =>
      resolved.collects ? [{ i, resolved, units: collectedUnits(resolved, leg.base[i], this.#contextOf(batch)) }] : [],
    );
    const flat = wanted.flatMap(({ units }) =>
      units.flatMap(({ columns }, row) => columns.map((column) => row * batch.columns + column)),
    );
    const rows = [...new Set(flat)].sort((a, b) => a - b);
    const result = await forwardPass(this.#model, {
      batch,
      points: pointsOf(this.#resolved),
      edits: editsOf(rules, batch, 0, batch.columns, (index) => index),
      ...(wanted.length === 0 ? {} : { reads: { points: wanted.map(({ i }) => i), rows } }),
      logitRows: allRows(batch),
    });
    const rowAt = new Map(rows.map((row, at) => [row, at]));
    const collected = wanted.map(({ i, resolved, units }) =>
      collectedTensor(resolved, {
        units,
        values: result.reads.get(i)!,
        columnCount: batch.columns,
        rowAt,
        chosen: this.#columnsOf(i, batch.rows, subspaces),
      }),
    );
    return { logits: this.logits(result.logits), collected };
  }

  /** [batch, positions, vocabulary], or a model's first output as it is shaped. */
  logits(values: Float32Array): Tensor {
    const { tensors } = this.#model.shape;
    if (tensors !== undefined) return outputTensor(tensors, this.#base.rows, values);
    return Tensor.float32([this.#base.rows, this.#base.columns, this.#model.shape.vocabularySize], values);
  }

  #batchOf(input: BatchInput): PromptBatch {
    return batchOf(
      this.#model,
      input,
      this.#resolved.map(({ place }) => place),
    );
  }

  #columnsOf(index: number, rows: number, subspaces: ForwardInput["subspaces"]) {
    const own = subspacesOf(subspaces, index, this.#resolved.length);
    return columnsOfSubspaces(this.#resolved[index]!, own, rows);
  }

  #contextOf(layout: PromptBatch): RuleContext {
    return { layout, promptColumns: layout.columns, tokenizer: this.#model.tokenizer };
  }

  #sources(given: ForwardInput["sources"], groups: readonly (readonly number[])[]): GroupSource[] {
    const list = given ?? [];
    if (!Array.isArray(list)) {
      throw new VeneError("sources-invalid", "sources is not a list", {
        hint: "give one source per group of interventions, or one for all: sources: [source]",
      });
    }
    if (list.length > 1 && list.length !== groups.length) {
      throw new VeneError("sources-invalid", `${list.length} sources for ${groups.length} groups of interventions`, {
        hint: "give one source per group, null where none is needed, or one source for all",
        details: { sources: list.length, groups: groups.length },
      });
    }
    const batches = new Map<BatchInput, PromptBatch>();
    return groups.map((group, g) => {
      const source = list.length === 1 ? list[0] : list[g];
      const needing = group.find((i) => this.#resolved[i]!.needsSource);
      if (needing === undefined) return "none";
      if (source === null) return "skipped";
      if (source === undefined) throw sourceMissing(this.#resolved[needing]!);
      const batch = batches.get(source) ?? this.#batchOf(source);
      batches.set(source, batch);
      if (batch.rows === this.#base.rows || batch.rows === 1) return batch;
      throw new VeneError("sources-invalid", `source ${g} has ${batch.rows} rows, the base has ${this.#base.rows}`, {
        details: { source: g, found: batch.rows, expected: this.#base.rows },
      });
    });
  }

  async #parallel(
    input: Input,
    groups: readonly (readonly number[])[],
    sources: readonly GroupSource[],
    original: boolean,
  ): Promise<Prepared> {
    const base = this.#base;
    const leg = parallelLeg(input.unitLocations ?? null, this.#resolved, base.rows);
    const cells = groups.map((group, g) => this.#sourceCells(group, leg, sources[g]!, base));
    const requests = new Map<PromptBatch, RunRequest>();
    if (original) requests.set(base, { batch: base, reads: new Map(), logits: true });
    sources.forEach((source, g) => {
      if (typeof source !== "object") return;
      const reads = new Map([...(requests.get(source)?.reads ?? []), ...flatRows(source, cells[g]!)]);
      requests.set(source, { batch: source, reads, logits: false });
    });
    const list = [...requests.values()];
    const results = await this.#runs.all(list);
    const resultOf = (batch: PromptBatch): RunResult => results[list.findIndex((request) => request.batch === batch)]!;
    const rules = groups.flatMap((group, g) => {
      const source = sources[g]!;
      const readers = typeof source === "object" ? resultOf(source).readers : new Map<number, SourceReader>();
      return source === "skipped" ? [] : this.#groupRules(group, leg, readers, cells[g]!, base, input);
    });
    return { rules, leg, original: original ? resultOf(base).logits : undefined };
  }

  async #serial(
    input: Input,
    groups: readonly (readonly number[])[],
    sources: readonly GroupSource[],
    original: boolean,
  ): Promise<Prepared> {
    let active: Rule[] = [];
    let leg: Leg | undefined;
    for (const [g, group] of groups.entries()) {
      const last = g === groups.length - 1;
      const target = last ? this.#base : sources[g + 1];
      if (typeof target !== "object") {
        throw new VeneError(
          "sources-invalid",
          `serial mode needs a source for every group, source ${g + 1} is missing`,
        );
      }
      if (!last) this.#refuseCollecting(group);
      const name = last ? `source_${g}->base` : `source_${g}->source_${g + 1}`;
      leg = serialLeg(input.unitLocations ?? null, name, group, this.#resolved, this.#base.rows);
      const source = sources[g]!;
      const cells = this.#sourceCells(group, leg, source, target);
      const readers =
        typeof source === "object"
          ? (await this.#runs.one({ batch: source, reads: flatRows(source, cells), logits: false }, active)).readers
          : new Map<number, SourceReader>();
      active = source === "skipped" ? [] : this.#groupRules(group, leg, readers, cells, target, input);
    }
    const plain: RunRequest = { batch: this.#base, reads: new Map(), logits: true };
    return { rules: active, leg: leg!, original: original ? (await this.#runs.one(plain, [])).logits : undefined };
  }

  #refuseCollecting(group: readonly number[]): void {
    const collecting = group.find((i) => this.#resolved[i]!.collects);
    if (collecting === undefined) return;
    const { key } = this.#resolved[collecting]!.entry;
    throw new VeneError("intervention-invalid", `${key}: serial mode collects on the base, in the last group only`, {
      hint: "give it the groupKey of the last group, or collect in parallel mode",
    });
  }

  /** Which cells of the source each intervention of the group reads, per row of the target. */
  #sourceCells(group: readonly number[], leg: Leg, source: GroupSource, target: PromptBatch): SourceCells {
    if (typeof source !== "object") return new Map();
    const context = this.#contextOf(source);
    const reading = group.filter((i) => this.#resolved[i]!.needsSource);
    return new Map(
      reading.map((i) => {
        const rows = Array.from({ length: target.rows }, (_, row) =>
          expandCells(leg.source[i]?.[row] ?? everywhere, context, source.rows === 1 ? 0 : row, this.#resolved[i]!),
        );
        return [i, rows];
      }),
    );
  }

  /** Rules that write one group's values into `target`. */
  #groupRules(
    group: readonly number[],
    leg: Leg,
    readers: ReadonlyMap<number, SourceReader>,
    cells: SourceCells,
    target: PromptBatch,
    input: Input,
  ): Rule[] {
    const context = this.#contextOf(target);
    return group.flatMap((i) => {
      const resolved = this.#resolved[i]!;
      if (resolved.point.edit === "none") return [];
      const base = leg.base[i] ?? new Array<Cells>(target.rows).fill(everywhere);
      const read = readers.get(i);
      const source = read === undefined ? undefined : { read, cells: cells.get(i)! };
      const columns = this.#columnsOf(i, target.rows, input.subspaces);
      const strengths = strengthsOf(resolved, input.strength, target.rows);
      return cellRules(resolved, i, { base, source, columns }, context, strengths);
    });
  }
}

/** The flattened rows that hold the cells, per intervention. */
function flatRows(source: PromptBatch, cells: SourceCells): Map<number, number[]> {
  return new Map(
    [...cells].map(([i, rows]) => {
      const flat = rows.flatMap(({ positions }, row) => positions.map((position) => flatRow(source, row, position)));
      return [i, [...new Set(flat)]];
    }),
  );
}
