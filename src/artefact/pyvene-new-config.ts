/** A config.json for pyvene, made from a manifest: what IntervenableModel.save would have written for the same interventions. */
import type { JsonValue } from "../formats/json.ts";
import type { Intervention } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import { hasHiddenWidth, pyveneComponentOf } from "../spec/sites.ts";
import { type Artefact, tensorOf } from "./artefact.ts";
import { sizesOf } from "./check.ts";
import { type RepresentationField, representationFields } from "./pyvene-eras.ts";
import { unwritable } from "./pyvene-fit.ts";
import { interventionKeys } from "./pyvene-keys.ts";
import { isTrained, layoutOf } from "./pyvene-layouts.ts";
import { embedOf, interchangeOf } from "./pyvene-state.ts";

/**
 * The config and the key of each intervention, in order, of interventions that fit pyvene (see pyvene-fit.ts). Without
 * `transformers_version`: there was no transformers. Throws `pyvene-unwritable` for groups out of order and unknown widths.
 */
export function newConfig(artefact: Artefact): { config: JsonValue; keys: readonly string[] } {
  const { interventions, mode } = artefact.manifest;
  checkGroups(interventions);
  const keys = interventionKeys(interventions);
  const fields = representationFields(interventions.some(({ kind }) => layoutOf(kind)?.latents !== undefined));
  const config = {
    intervention_constant_sources: interventions.map(isConstant),
    intervention_dimensions: interventions.map((intervention) => interchangeDimOf(artefact, intervention)),
    intervention_types: interventions.map(({ kind }) => {
      const { pyveneModule, pyveneClass } = kindSpecOf(kind);
      return `<class '${pyveneModule}.${pyveneClass}'>`;
    }),
    mode,
    representations: interventions.map((intervention) => representationOf(artefact, intervention, fields)),
    sorted_keys: keys,
  };
  return { config, keys };
}

function isConstant({ kind, tensors }: Intervention): boolean {
  return layoutOf(kind)?.constant === true || Object.hasOwn(tensors, "source");
}

function representationOf(
  artefact: Artefact,
  intervention: Intervention,
  fields: readonly RepresentationField[],
): JsonValue[] {
  const { site, maxUnits, subspacePartition, group, link, tensors } = intervention;
  const values: { readonly [field: string]: JsonValue } = {
    layer: "layer" in site ? site.layer : 0,
    component: pyveneComponentOf(site)!,
    unit: site.unit,
    max_number_of_units: maxUnits,
    ...ranksOf(artefact, intervention),
    subspace_partition: subspacePartition ?? null,
    group_key: group ?? null,
    intervention_link_key: link ?? null,
    hidden_source_representation: Object.hasOwn(tensors, "source") ? true : null,
  };
  return fields.map((field) => values[field] ?? null);
}

/** The sizes that pyvene needs to build a class again, beside the width. */
export function ranksOf(
  { tensors }: Artefact,
  intervention: Intervention,
): { low_rank_dimension: number | null; latent_dim: number | null } {
  const { rank, latents } = layoutOf(intervention.kind) ?? {};
  const sizes = sizesOf(intervention, tensors);
  const sizeOf = (symbol: string | undefined) => (symbol === undefined ? null : (sizes.get(symbol) ?? null));
  return { low_rank_dimension: sizeOf(rank), latent_dim: sizeOf(latents) };
}

/** pyvene wants a group for every intervention or for none, in ascending order. */
function checkGroups(interventions: readonly Intervention[]): void {
  const groups = interventions.map(({ group }) => group);
  if (groups.every((group) => group === undefined)) return;
  const at = groups.findIndex((group, index) => group === undefined || (index > 0 && group < groups[index - 1]!));
  if (at !== -1) throw unwritable(interventions[at]!.key, `its group is ${groups[at] ?? "absent"}, out of order`);
}

/**
 * What pyvene stores as interchange_dim. load replaces null by hidden_size (per head for head_*), so null may be written only
 * where that is the width; it multiplies the width by max_number_of_units, so this does too.
 */
function interchangeDimOf(artefact: Artefact, intervention: Intervention): number | number[] | null {
  const { site, key, kind, maxUnits } = intervention;
  const chosen = interchangeOf(artefact, intervention);
  if (chosen !== undefined) return chosen;
  if (isTrained(kind)) return embedOf(artefact, intervention)!;
  const { hiddenSize } = artefact.manifest.base;
  if (hasHiddenWidth(site)) return "layer" in site && hiddenSize !== null ? hiddenSize * maxUnits : null;
  const width = tensorOf(artefact, intervention, "source")?.shape.at(-1);
  if (width !== undefined) return width * maxUnits;
  if ("component" in site && site.component.startsWith("head_")) return null;
  throw unwritable(key, "pyvene would act on the first hidden_size features only", "give the intervention a dimension");
}
