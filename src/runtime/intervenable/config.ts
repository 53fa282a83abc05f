/** IntervenableModel's config, in pyvene's words, and the artefact it amounts to on a given model. */

import { type Artefact, makeArtefact } from "../../artefact/artefact.ts";
import { interventionKeys } from "../../artefact/pyvene-keys.ts";
import { VeneError } from "../../base/errors.ts";
import { checkKeys } from "../../base/known-keys.ts";
import { Tensor } from "../../base/tensor.ts";
import { type Intervention, type Strength, usualStrength } from "../../spec/intervention.ts";
import { isKind, type Kind, kindOfPyveneClass, kindSpecs, kinds } from "../../spec/kinds.ts";
import type { Base, Provenance } from "../../spec/manifest.ts";
import { type Component, isComponent, type Site, siteOfPyvene, type Unit } from "../../spec/sites.ts";
import { pyveneDefaultTokens, type TokensPolicy } from "../../spec/tokens.ts";
import { toolOfVene } from "../../spec/tool.ts";
import type { Model } from "../model.ts";

/** pyvene's RepresentationConfig with named fields in camelCase. */
export interface RepresentationConfig {
  /** 0-based; not needed beside a module path. */
  readonly layer?: number;
  /** A component ("block_output") or a module path ("model.layers[6].self_attn.o_proj.output"). */
  readonly component: Component | (string & {});
  /** Default "pos"; "h" and "h.pos" address heads of head_* components. */
  readonly unit?: Unit;
  readonly maxNumberOfUnits?: number;
  /** A kind ("addition") or pyvene's class ("AdditionIntervention"). */
  readonly interventionType: Kind | `${Capitalize<Kind>}Intervention` | (string & {});
  /** Constant source, [d] or broadcasting over [batch, positions, d]. Without it a source is given at run time. */
  readonly sourceRepresentation?: Tensor | Float32Array | readonly number[];
  /** Interventions of one group take one source. */
  readonly groupKey?: number;
  readonly interventionLinkKey?: number;
  /** Named slices of the features for `subspaces`: [start, end) pairs, or index lists. */
  readonly subspacePartition?: readonly (readonly number[])[];
  /** Which tokens generate touches; default pyvene's: generated ones only. */
  readonly tokens?: TokensPolicy;
  readonly strength?: Partial<Strength>;
}

export interface IntervenableConfig {
  readonly representations: readonly RepresentationConfig[] | RepresentationConfig;
  /** parallel (default): sources are run as they are; serial: each source is intervened on with the one before. */
  readonly mode?: "parallel" | "serial";
  /** What `save` writes about it. */
  readonly name?: string;
  readonly summary?: string;
  readonly license?: string;
  readonly provenance?: Omit<Provenance, "tool">;
}

const configNames = [
  "representations",
  "mode",
  "name",
  "summary",
  "license",
  "provenance",
] as const satisfies readonly (keyof IntervenableConfig)[];

const representationNames = [
  "layer",
  "component",
  "unit",
  "maxNumberOfUnits",
  "interventionType",
  "sourceRepresentation",
  "groupKey",
  "interventionLinkKey",
  "subspacePartition",
  "tokens",
  "strength",
] as const satisfies readonly (keyof RepresentationConfig)[];

/** What a manifest records of a model. */
export function baseOf(model: Model): Base {
  const { layers, hiddenSize } = model.shape;
  return { model: model.name, architecture: model.architecture, layers, hiddenSize, fingerprint: model.fingerprint };
}

/** Throws `intervention-invalid`, `site-unknown`, `manifest-invalid`, `artefact-tensor`, `tensor-invalid`. */
export function artefactOfConfig(config: IntervenableConfig, model: Model): Artefact {
  checkKeys("the config", config, configNames, "intervention-invalid");
  const list = config.representations;
  const representations: readonly RepresentationConfig[] = Array.isArray(list) ? list : [list];
  for (const representation of representations) {
    checkKeys("a representation", representation, representationNames, "intervention-invalid");
  }
  const parts = representations.map((representation) => ({
    kind: kindOf(representation.interventionType),
    site: siteOf(representation, model),
    maxUnits: representation.maxNumberOfUnits ?? 1,
    representation,
  }));
  const keys = interventionKeys(parts);
  const tensors = new Map<string, Tensor>();
  const interventions = parts.map(({ kind, site, maxUnits, representation: r }, i) => {
    const key = keys[i]!;
    if (r.sourceRepresentation !== undefined) tensors.set(`${key}.source`, asTensor(r.sourceRepresentation));
    return entryOf(r, { kind, site, maxUnits, key });
  });
  const draft = {
    name: config.name ?? "unnamed",
    summary: config.summary ?? "",
    license: config.license ?? "unknown",
    base: baseOf(model),
    mode: config.mode ?? "parallel",
    interventions,
    provenance: { ...config.provenance, tool: toolOfVene },
  };
  return makeArtefact(draft, tensors);
}

/** Located at once, so that a layer or module that this model lacks is refused as such. */
function siteOf({ layer, component, unit }: RepresentationConfig, model: Model): Site {
  if (layer === undefined && isComponent(component)) {
    throw new VeneError("intervention-invalid", `${component} needs a layer`, {
      hint: "give layer, 0-based; only module paths go without",
      details: { component },
    });
  }
  const site = siteOfPyvene(layer ?? 0, component, unit ?? "pos");
  model.sites.locate(site);
  return site;
}

interface Place {
  readonly kind: Kind;
  readonly site: Site;
  readonly maxUnits: number;
  readonly key: string;
}

function entryOf(r: RepresentationConfig, { kind, site, maxUnits, key }: Place): Intervention {
  const takesSource = Object.hasOwn(kindSpecs[kind].tensors, "source");
  if (r.sourceRepresentation !== undefined && !takesSource) {
    throw new VeneError("intervention-invalid", `${key}: a ${kind} intervention takes no sourceRepresentation`);
  }
  return {
    key,
    kind,
    site,
    maxUnits,
    parameters: {},
    tensors: r.sourceRepresentation === undefined ? {} : { source: `${key}.source` },
    dimension: null,
    strength: { ...usualStrength(kind), ...r.strength },
    tokens: r.tokens ?? pyveneDefaultTokens,
    ...(r.groupKey === undefined ? {} : { group: r.groupKey }),
    ...(r.subspacePartition === undefined ? {} : { subspacePartition: r.subspacePartition.map((part) => [...part]) }),
    ...(r.interventionLinkKey === undefined ? {} : { link: r.interventionLinkKey }),
  } as Intervention;
}

function kindOf(name: string): Kind {
  const kind = isKind(name) ? name : kindOfPyveneClass(name);
  if (kind !== undefined) return kind;
  throw new VeneError("intervention-invalid", `${JSON.stringify(name)} is not a kind of intervention`, {
    hint: `kinds: ${kinds.map((k) => `${k} (${kindSpecs[k].pyveneClass})`).join(", ")}`,
    details: { name },
  });
}

function asTensor(values: Tensor | Float32Array | readonly number[]): Tensor {
  return values instanceof Tensor ? values : Tensor.float32([values.length], Float32Array.from(values));
}
