/** forward() as pyvene means it: sources are run and read, the base is run with what was read, in parallel or in series. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import { allRows, forwardPass } from "../forward.ts";
import type { Model } from "../model.ts";
import type { PromptBatch } from "../prompt-batch.ts";
import { type ExpandedCells, expandCells } from "./cells.ts";
import { collectedTensor } from "./collected.ts";
import { editsOf } from "./edits.ts";
import { type BatchInput, batchOf } from "./inputs.ts";
import { type Cells, everywhere, type Leg, readLeg, type UnitLocations, wholeLeg } from "./locations.ts";
import { type Resolved, sourceMissing } from "./resolve.ts";
import { cellRules, type Rule } from "./rules.ts";
import { columnsOfSubspaces, type Subspaces } from "./subspaces.ts";
import type { SourceReader } from "./vectors.ts";

export interface ForwardInput {
  readonly base: BatchInput;
  /** One per group of interventions (without groups: one per intervention), null for those that need none; one source serves all. */
  readonly sources?: readonly (BatchInput | null)[] | undefined;
  /** Which units are read and written; absent = everywhere. */
  readonly unitLocations?: UnitLocations | null | undefined;
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
  "subspaces",
  "strength",
  "outputOriginalOutput",
] as const satisfies readonly (keyof ForwardInput)[];

export interface ForwardOutput {
  /** float32 [batch, positions, vocabulary] */
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

/** One forward computation; holds what its steps share. */
export class Forward {
  readonly #model: Model;
  readonly #resolved: readonly Resolved[];
  readonly #base: PromptBatch;

  constructor(model: Model, resolved: readonly Resolved[], base: BatchInput) {
    this.#model = model;
    this.#resolved = resolved;
    this.#base = batchOf(model, base);
  }

  get attentionMask(): Tensor {
    const { rows, columns, real } = this.#base;
    return Tensor.int64([rows, columns], [...real]);
  }

  get batch(): PromptBatch {
    return this.#base;
  }

  /** Rules for the base, after running the sources, and the leg they follow. Throws `sources-invalid`, `locations-invalid`. */
  async rules(input: Omit<ForwardInput, "base">, mode: "parallel" | "serial"): Promise<{ rules: Rule[]; leg: Leg }> {
    const groups = groupsOf(this.#resolved);
    const sources = this.#sources(input.sources, groups);
    if (mode === "serial" && sources.some((source) => typeof source === "object"))
      return this.#serialRules(input, groups, sources);
    const leg = this.#parallelLeg(input.unitLocations ?? null);
    const rules = await Promise.all(
      groups.map((group, g) => this.#groupRules(group, leg, sources[g]!, this.#base, input, [])),
    );
    return { rules: rules.flat(), leg };
  }

  #parallelLeg(locations: UnitLocations | null): Leg {
    const names = ["sources->base", "base"];
    const context = { units: this.#resolved.map(({ entry }) => entry.site.unit), rows: this.#base.rows };
    if (locations === null) return wholeLeg(context);
    const name = names.find((candidate) => Object.hasOwn(locations, candidate));
    if (name !== undefined) return readLeg(name, locations[name]!, context);
    const found = Object.keys(locations).join(", ") || "nothing";
    throw new VeneError("locations-invalid", `unit locations name ${found}, expected ${names.join(" or ")}`, {
      details: { found: Object.keys(locations), expected: names },
    });
  }

  /** Runs the base with the rules, and reads what collecting interventions want. */
  async run(rules: readonly Rule[], leg: Leg | undefined): Promise<{ logits: Tensor; collected: Tensor[] }> {
    const batch = this.#base;
    const wanted = leg === undefined ? [] : this.#resolved.flatMap(({ kind }, i) => (kind.collects ? [i] : []));
    const rows = allRows(batch);
    const result = await forwardPass(this.#model, {
      batch,
      points: this.#resolved.map(({ point }) => point),
      edits: editsOf(rules, batch, 0, batch.columns, (index) => index),
      ...(wanted.length === 0 ? {} : { reads: { points: wanted, rows } }),
      logitRows: rows,
    });
    const shape = [batch.rows, batch.columns, this.#model.shape.vocabularySize];
    const collected = wanted.map((i) => collectedTensor(this.#resolved[i]!, result.reads.get(i)!, leg!.base[i], batch));
    return { logits: Tensor.float32(shape, result.logits), collected };
  }

  #sources(given: ForwardInput["sources"], groups: readonly (readonly number[])[]): GroupSource[] {
    const list = given ?? [];
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
      const batch = batches.get(source) ?? batchOf(this.#model, source);
      batches.set(source, batch);
      if (batch.rows === this.#base.rows || batch.rows === 1) return batch;
      throw new VeneError("sources-invalid", `source ${g} has ${batch.rows} rows, the base has ${this.#base.rows}`, {
        details: { source: g, found: batch.rows, expected: this.#base.rows },
      });
    });
  }

  /** Rules that write one group's values, read from its source (itself run under `active` rules), into `target`. */
  async #groupRules(
    group: readonly number[],
    leg: Leg,
    source: GroupSource,
    target: PromptBatch,
    input: Omit<ForwardInput, "base">,
    active: readonly Rule[],
  ): Promise<Rule[]> {
    if (source === "skipped") return [];
    const reading = group.filter((i) => this.#resolved[i]!.needsSource);
    const readers = source === "none" ? new Map<number, SourceReader>() : await this.#read(source, reading, active);
    const context = { layout: target, promptColumns: target.columns };
    return group.flatMap((i) => {
      const resolved = this.#resolved[i]!;
      if (resolved.point.edit === "none") return [];
      const base = leg.base[i] ?? new Array<Cells>(target.rows).fill(everywhere);
      const read = readers.get(i);
      const side =
        read === undefined
          ? undefined
          : { read, cells: this.#sourceCells(resolved, leg.source[i], source as PromptBatch, target) };
      const columns = columnsOfSubspaces(resolved, input.subspaces?.[i] ?? null, target.rows);
      const strengths = strengthsOf(resolved, input.strength, target.rows);
      return cellRules(resolved, i, { base, source: side, columns }, context, strengths);
    });
  }

  #sourceCells(
    resolved: Resolved,
    cells: readonly Cells[] | undefined,
    source: PromptBatch,
    target: PromptBatch,
  ): ExpandedCells[] {
    const context = { layout: source, promptColumns: source.columns };
    return Array.from({ length: target.rows }, (_, row) =>
      expandCells(cells?.[row] ?? everywhere, context, source.rows === 1 ? 0 : row, resolved),
    );
  }

  async #read(
    source: PromptBatch,
    indices: readonly number[],
    active: readonly Rule[],
  ): Promise<Map<number, SourceReader>> {
    const result = await forwardPass(this.#model, {
      batch: source,
      points: this.#resolved.map(({ point }) => point),
      edits: editsOf(active, source, 0, source.columns, (index) => index),
      reads: { points: indices, rows: allRows(source) },
      logitRows: [],
    });
    return new Map(
      indices.map((i) => {
        const { width } = this.#resolved[i]!.place;
        const values = result.reads.get(i)!;
        const reader: SourceReader = (row, position) => {
          const at = source.rows === 1 ? 0 : row;
          const start = (at * source.columns + source.columnsOf[at]![position]!) * width;
          return values.subarray(start, start + width);
        };
        return [i, reader];
      }),
    );
  }

  async #serialRules(
    input: Omit<ForwardInput, "base">,
    groups: readonly (readonly number[])[],
    sources: readonly GroupSource[],
  ): Promise<{ rules: Rule[]; leg: Leg }> {
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
      const collecting = group.find((i) => this.#resolved[i]!.kind.collects);
      if (!last && collecting !== undefined) {
        const { key } = this.#resolved[collecting]!.entry;
        throw new VeneError(
          "intervention-invalid",
          `${key}: serial mode collects on the base, in the last group only`,
          {
            hint: "give it the groupKey of the last group, or collect in parallel mode",
          },
        );
      }
      leg = this.#serialLeg(
        input.unitLocations ?? null,
        last ? `source_${g}->base` : `source_${g}->source_${g + 1}`,
        group,
      );
      active = await this.#groupRules(group, leg, sources[g]!, target, input, active);
    }
    return { rules: active, leg: leg! };
  }

  /** In serial mode each leg lists the interventions of its own group only. */
  #serialLeg(locations: UnitLocations | null, name: string, group: readonly number[]): Leg {
    const units = this.#resolved.map(({ entry }) => entry.site.unit);
    if (locations === null) return wholeLeg({ units, rows: this.#base.rows });
    const value = locations[name];
    if (value === undefined) {
      throw new VeneError("locations-invalid", `unit locations lack ${name}`, {
        details: { found: Object.keys(locations) },
      });
    }
    const own = readLeg(name, value, { units: group.map((i) => units[i]!), rows: this.#base.rows });
    const place = (side: Leg["base"]) => units.map((_, i) => (group.includes(i) ? side[group.indexOf(i)] : undefined));
    return { source: place(own.source), base: place(own.base) };
  }
}

/** Intervention indices by group key, ascending; without keys each is its own group. Throws `intervention-invalid` when mixed. */
export function groupsOf(resolved: readonly Resolved[]): readonly (readonly number[])[] {
  const keys = resolved.map(({ entry }) => entry.group);
  if (keys.every((key) => key === undefined)) return resolved.map((_, i) => [i]);
  if (keys.some((key) => key === undefined)) {
    throw new VeneError("intervention-invalid", "some interventions have a group and some have none", {
      hint: "give all of them a groupKey, or none",
    });
  }
  const distinct = [...new Set(keys as number[])].sort((a, b) => a - b);
  return distinct.map((key) => keys.flatMap((own, i) => (own === key ? [i] : [])));
}

/** Strength per row. Throws `generation-invalid` for a list of another length or a value that is not finite. */
export function strengthsOf(
  { entry }: Resolved,
  given: number | readonly number[] | undefined,
  rows: number,
): readonly number[] {
  const list = typeof given === "object" ? given : new Array<number>(rows).fill(given ?? entry.strength.default);
  if (list.length !== rows || list.some((value) => !Number.isFinite(value))) {
    throw new VeneError("generation-invalid", `strength is [${list}], expected ${rows} finite numbers`, {
      hint: "give one number, or one per prompt",
    });
  }
  return list;
}
