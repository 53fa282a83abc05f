/** A config.json for pyvene, made from a manifest: what IntervenableModel.save would have written for the same interventions. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import type { Intervention } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import { hasHiddenWidth, pyveneComponentOf } from "../spec/sites.ts";
import { type Artefact, tensorOf } from "./artefact.ts";
import { writtenFields } from "./pyvene-eras.ts";
import { interventionKeys } from "./pyvene-keys.ts";

/**
 * The config and the key of each intervention, in order. Without `transformers_version`: there was no transformers. Throws
 * `pyvene-unwritable`.
 */
export function newConfig(artefact: Artefact): { config: JsonValue; keys: readonly string[] } {
  const { interventions, mode } = artefact.manifest;
  checkGroups(interventions);
  const components = interventions.map(componentOf);
  const keys = interventionKeys(interventions);
  const config = {
    intervention_constant_sources: interventions.map(isConstant),
    intervention_dimensions: interventions.map((intervention) => dimensionOf(artefact, intervention)),
    intervention_types: interventions.map(
      ({ kind }) => `<class 'pyvene.models.interventions.${kindSpecOf(kind).pyveneClass}'>`,
    ),
    mode,
    representations: interventions.map((intervention, index) => representationOf(intervention, components[index]!)),
    sorted_keys: keys,
  };
  return { config, keys };
}

export function unwritable(key: string, why: string, hint?: string): VeneError {
  return new VeneError("pyvene-unwritable", `${key} cannot be written for pyvene: ${why}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { key, why },
  });
}

/** pyvene calls a kind without a source constant too. */
function isConstant({ kind, tensors }: Intervention): boolean {
  return kindSpecOf(kind).constantSource === "never" || Object.hasOwn(tensors, "source");
}

function componentOf({ key, site }: Intervention): string {
  const component = pyveneComponentOf(site);
  if (component !== undefined) return component;
  throw unwritable(key, "its site is a value of an ONNX graph", "give a layer and component, or a module path");
}

function representationOf(intervention: Intervention, component: string): JsonValue[] {
  const { site, maxUnits, subspacePartition, group, link, tensors } = intervention;
  const values: { readonly [field: string]: JsonValue } = {
    layer: "layer" in site ? site.layer : 0,
    component,
    unit: site.unit,
    max_number_of_units: maxUnits,
    subspace_partition: subspacePartition ?? null,
    group_key: group ?? null,
    intervention_link_key: link ?? null,
    hidden_source_representation: Object.hasOwn(tensors, "source") ? true : null,
  };
  return writtenFields.map((field) => values[field] ?? null);
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
function dimensionOf(artefact: Artefact, intervention: Intervention): number | null {
  const { dimension, site, key, maxUnits } = intervention;
  if (typeof dimension === "number") return dimension;
  if (dimension !== null) throw unwritable(key, "it acts on a list of features, which its class does not do in pyvene");
  const { hiddenSize } = artefact.manifest.base;
  if (hasHiddenWidth(site)) return "layer" in site && hiddenSize !== null ? hiddenSize * maxUnits : null;
  const width = tensorOf(artefact, intervention, "source")?.shape.at(-1);
  if (width !== undefined) return width * maxUnits;
  if ("component" in site && site.component.startsWith("head_")) return null;
  throw unwritable(key, "pyvene would act on the first hidden_size features only", "give the intervention a dimension");
}
