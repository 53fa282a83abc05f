/** An artefact's interventions matched with a model's places: what is where, how wide, with which constant source. */

import type { Place } from "../../arch/sites.ts";
import { type Artefact, tensorOf } from "../../artefact/artefact.ts";
import { VeneError } from "../../base/errors.ts";
import type { Tensor } from "../../base/tensor.ts";
import { type Affine, type AffineKind, isAffine } from "../../interventions/kind.ts";
import { pyveneNoise } from "../../interventions/noise.ts";
import type { Point } from "../../interventions/points.ts";
import { isBuiltIn, kindTable } from "../../interventions/table.ts";
import type { Intervention } from "../../spec/intervention.ts";
import { formatSite } from "../../spec/sites.ts";
import type { Model } from "../model.ts";
import { type BoundOperator, bindOperator, cellWidthOf, moduleInput } from "./operators.ts";

/** Constant source values; the last dimension of `shape` is the place's width or one head's. */
export interface ConstantSource {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

interface Matched {
  readonly entry: Intervention;
  readonly place: Place;
  readonly constant: ConstantSource | undefined;
  /** Features touched unless subspaces say otherwise; undefined = all. Of a head where there are heads, or of the kind's own. */
  readonly columns: readonly number[] | undefined;
  /** Whether forward and generate must be given a source for it. */
  readonly needsSource: boolean;
  readonly point: Point;
  /** Where a source's value is read, if not at the point. */
  readonly sourcePoint: Point | undefined;
  /** Whether its value is handed to the caller. */
  readonly collects: boolean;
}

export interface ResolvedAffine extends Matched {
  readonly affine: Affine;
}

export interface ResolvedOperator extends Matched {
  readonly bound: BoundOperator;
}

export type Resolved = ResolvedAffine | ResolvedOperator;

export function isOperator(resolved: Resolved): resolved is ResolvedOperator {
  return "bound" in resolved;
}

/** All points that a session needs: each intervention's own, in order, then those where only sources are read. */
export function pointsOf(resolved: readonly Resolved[]): readonly Point[] {
  return [...resolved.map(({ point }) => point), ...resolved.flatMap(({ sourcePoint }) => sourcePoint ?? [])];
}

/** Index into {@link pointsOf} of the point where the source of an intervention is read. */
export function sourcePointOf(resolved: readonly Resolved[], index: number): number {
  if (resolved[index]!.sourcePoint === undefined) return index;
  return resolved.length + resolved.slice(0, index).filter(({ sourcePoint }) => sourcePoint !== undefined).length;
}

/** What is said when an intervention has neither a constant source nor one given at run time. */
export function sourceMissing({ entry }: Resolved): VeneError {
  return new VeneError("sources-invalid", `${entry.key} has no constant source and no source was given for it`, {
    hint: "pass sources",
    details: { key: entry.key },
  });
}

/** Throws `base-mismatch`, `site-unknown`, `site-out-of-range`, `intervention-invalid`. */
export function resolveInterventions(artefact: Artefact, model: Model): readonly Resolved[] {
  checkBase(artefact, model);
  return artefact.manifest.interventions.map((entry) => resolve(entry, artefact, model));
}

function checkBase({ manifest }: Artefact, model: Model): void {
  const { architecture, layers, hiddenSize } = manifest.base;
  const sides = [
    ["architecture", architecture, model.architecture],
    ["layers", layers, model.shape.layers],
    ["hidden size", hiddenSize, model.shape.hiddenSize],
  ] as const;
  for (const [what, made, found] of sides) {
    if (made !== null && made !== found) {
      const base = manifest.base.model ?? "another model";
      throw new VeneError(
        "base-mismatch",
        `${manifest.name} was made for ${base} (${what} ${made}), ${model.name} has ${what} ${found}`,
        {
          hint: `load it on ${base} or a model of the same shape`,
          details: { what, expected: made, found },
        },
      );
    }
  }
}

function resolve(saved: Intervention, artefact: Artefact, model: Model): Resolved {
  const entry = inPositions(saved, model);
  const kind = isBuiltIn(entry.kind) ? kindTable[entry.kind] : undefined;
  const place = model.sites.locate(entry.site);
  const { unit } = entry.site;
  if (unit !== "pos" && place.heads === undefined) {
    throw new VeneError(
      "intervention-invalid",
      `${entry.key}: unit ${unit} needs a place that is split into heads, ${formatSite(entry.site)} is not`,
      {
        hint: "use head_query_output, head_key_output, head_value_output or head_attention_value_output",
      },
    );
  }
  if (place.attention !== undefined && entry.kind !== "collect") {
    throw new VeneError("intervention-invalid", `${entry.key}: attention weights can be collected, not changed`, {
      hint: "intervene on attention_value_output, or on query_output and key_output",
    });
  }
  const constant = constantSourceOf(artefact, entry, place);
  const bound = kind === undefined || !isAffine(kind) ? bindOperator(artefact, entry, place, model.sites) : undefined;
  if (bound !== undefined) return resolveOperator({ entry, place, constant }, bound);
  return resolveAffine({ entry, place, constant }, kind as AffineKind, model);
}

/** Unit t counts the steps of a recurrent model, which are its positions. Throws `intervention-invalid` for other models. */
function inPositions(entry: Intervention, model: Model): Intervention {
  if (entry.site.unit !== "t") return entry;
  if (model.shape.states !== undefined) return { ...entry, site: { ...entry.site, unit: "pos" } };
  throw new VeneError(
    "intervention-invalid",
    `${entry.key}: unit t counts steps of recurrent models, ${model.architecture} has none`,
    { hint: "use unit pos" },
  );
}

type Located = Pick<Resolved, "entry" | "place" | "constant">;

function resolveOperator(located: Located, bound: BoundOperator): ResolvedOperator {
  const { entry, place, constant } = located;
  const { operation } = bound;
  const needsSource = operation.operator.takesSource && constant === undefined;
  const columns = operation.features === undefined ? undefined : columnsOf(entry, operation.features);
  const point: Point = { value: place.value, width: place.width, edit: "operate", read: needsSource, operation };
  return { ...located, bound, needsSource, columns, point, sourcePoint: undefined, collects: false };
}

function resolveAffine(located: Located, kind: AffineKind, model: Model): ResolvedAffine {
  const { entry, place, constant } = located;
  const { affine, collects } = kind;
  const needsSource = affine.gain !== 0 && constant === undefined;
  const edit = affine.keep === 0 ? "swap" : affine.gain === 0 ? "none" : "add";
  const elsewhere = needsSource && kind.sourceSide === "input";
  const point: Point = { value: place.value, width: place.width, edit, read: collects || (needsSource && !elsewhere) };
  const sourcePoint = elsewhere ? inputPoint(entry, place, model) : undefined;
  const counted = place.attention !== undefined ? undefined : cellWidthOf(entry, place);
  const columns = counted === undefined ? undefined : columnsOf(entry, counted);
  return { ...located, affine, collects, needsSource, columns, point, sourcePoint };
}

/** Where the input of the site's module is read. Throws `intervention-invalid` when it is not as wide as the output. */
function inputPoint(entry: Intervention, place: Place, model: Model): Point {
  const input = moduleInput(entry, model.sites);
  if (input.width === place.width) return { value: input.value, width: input.width, edit: "none", read: true };
  throw new VeneError(
    "intervention-invalid",
    `${entry.key}: the input of ${formatSite(entry.site)} has width ${input.width}, its output ${place.width}`,
    { hint: "skip modules whose output is as wide as their input: block_output, attention_output, mlp_output" },
  );
}

function columnsOf({ key, dimension }: Intervention, count: number): readonly number[] | undefined {
  if (dimension === null) return undefined;
  if (typeof dimension === "number") return dimension >= count ? undefined : [...new Array(dimension).keys()];
  const beyond = dimension.find((column) => column >= count);
  if (beyond === undefined) return dimension;
  throw new VeneError("intervention-invalid", `${key}: feature ${beyond} does not exist, there are ${count}`, {
    details: { key, feature: beyond, width: count },
  });
}

/** The constant source: a tensor of the artefact, or the noise that pyvene makes up. */
function constantSourceOf(artefact: Artefact, entry: Intervention, place: Place): ConstantSource | undefined {
  if (entry.kind === "noise") {
    const noise = tensorOf(artefact, entry, "noise") ?? pyveneNoise(cellWidthOf(entry, place));
    const { shape, values } = constantOf(entry, noise, place);
    const level = entry.parameters.level;
    return { shape, values: values.map((value) => value * level) };
  }
  const tensor = tensorOf(artefact, entry, "source");
  return tensor === undefined ? undefined : constantOf(entry, tensor, place);
}

/** Throws `base-mismatch` when the values are not as wide as the place. */
export function constantOf(entry: Intervention, tensor: Tensor, place: Place): ConstantSource {
  const last = tensor.shape.at(-1) ?? 0;
  const perHead = entry.site.unit !== "pos" && last === place.heads?.size;
  if (last !== place.width && !perHead) {
    throw new VeneError(
      "base-mismatch",
      `${entry.key}: the source has width ${last}, ${formatSite(entry.site)} has ${place.width}`,
      {
        hint: "the vector was made for a model of another size, or for another site",
        details: { found: last, expected: place.width, site: entry.site },
      },
    );
  }
  return { shape: tensor.shape, values: tensor.toFloat32() };
}
