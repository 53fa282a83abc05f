/** An artefact's interventions matched with a model's places: what is where, how wide, with which constant source. */

import type { Place } from "../../arch/sites.ts";
import { type Artefact, tensorOf } from "../../artefact/artefact.ts";
import { VeneError } from "../../base/errors.ts";
import type { Tensor } from "../../base/tensor.ts";
import type { KindImplementation } from "../../interventions/kind.ts";
import type { Point } from "../../interventions/points.ts";
import { kindTable } from "../../interventions/table.ts";
import type { Intervention } from "../../spec/intervention.ts";
import { formatSite } from "../../spec/sites.ts";
import type { Model } from "../model.ts";

/** Constant source values; the last dimension of `shape` is the place's width or one head's. */
export interface ConstantSource {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface Resolved {
  readonly entry: Intervention;
  readonly kind: KindImplementation;
  readonly place: Place;
  readonly constant: ConstantSource | undefined;
  /** The manifest's `dimension`: features touched unless subspaces say otherwise, counted within a head; undefined = all. */
  readonly columns: readonly number[] | undefined;
  /** Whether forward and generate must be given a source for it. */
  readonly needsSource: boolean;
  readonly point: Point;
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

function resolve(entry: Intervention, artefact: Artefact, model: Model): Resolved {
  const kind = kindTable[entry.kind];
  const place = model.sites.locate(entry.site);
  const { unit } = entry.site;
  if (unit === "t") {
    throw new VeneError(
      "intervention-invalid",
      `${entry.key}: unit t counts steps of recurrent models, ${model.architecture} has none`,
    );
  }
  if (unit !== "pos" && place.heads === undefined) {
    throw new VeneError(
      "intervention-invalid",
      `${entry.key}: unit ${unit} needs a place that is split into heads, ${formatSite(entry.site)} is not`,
      {
        hint: "use head_query_output, head_key_output, head_value_output or head_attention_value_output",
      },
    );
  }
  if (place.attention !== undefined && !kind.collects) {
    throw new VeneError("intervention-invalid", `${entry.key}: attention weights can be collected, not changed`, {
      hint: "intervene on attention_value_output, or on query_output and key_output",
    });
  }
  const tensor = tensorOf(artefact, entry, "source");
  const constant = tensor === undefined ? undefined : constantOf(entry, tensor, place);
  const needsSource = kind.affine.gain !== 0 && constant === undefined;
  const edit = kind.affine.keep === 0 ? "swap" : kind.affine.gain === 0 ? "none" : "add";
  const point: Point = { value: place.value, width: place.width, edit, read: kind.collects || needsSource };
  return { entry, kind, place, constant, columns: columnsOf(entry, place), needsSource, point };
}

function columnsOf({ key, dimension, site }: Intervention, place: Place): readonly number[] | undefined {
  if (dimension === null || place.attention !== undefined) return undefined;
  const width = site.unit === "pos" ? place.width : place.heads!.size;
  if (typeof dimension === "number") return dimension >= width ? undefined : [...new Array(dimension).keys()];
  const beyond = dimension.find((column) => column >= width);
  if (beyond === undefined) return dimension;
  throw new VeneError("intervention-invalid", `${key}: feature ${beyond} does not exist, there are ${width}`, {
    details: { key, feature: beyond, width },
  });
}

function constantOf(entry: Intervention, tensor: Tensor, place: Place): ConstantSource {
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
