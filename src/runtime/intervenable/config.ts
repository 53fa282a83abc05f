/** IntervenableModel's config, in pyvene's words, and the artefact it amounts to on a given model. */

import { type Artefact, type ManifestDraft, makeArtefact } from "../../artefact/artefact.ts";
import { interventionKeys } from "../../artefact/pyvene-keys.ts";
import { VeneError } from "../../base/errors.ts";
import { checkKeys } from "../../base/known-keys.ts";
import type { Tensor } from "../../base/tensor.ts";
import { type DefinedIntervention, definitionOf } from "../../interventions/definitions.ts";
import { type Intervention, MOST_UNITS, type Strength, tensorNames, usualStrength } from "../../spec/intervention.ts";
import {
  isKind,
  type Kind,
  kindOfPyveneClass,
  kindSpecOf,
  kindSpecs,
  kinds,
  type PyveneClass,
} from "../../spec/kinds.ts";
import type { Base, Evaluation, Expected, Provenance } from "../../spec/manifest.ts";
import { type Component, isComponent, parseSite, type Site, siteOfPyvene, type Unit } from "../../spec/sites.ts";
import { parseTokensPolicy, pyveneDefaultTokens, type TokensPolicy } from "../../spec/tokens.ts";
import { toolOfVene } from "../../spec/tool.ts";
import type { Model } from "../model.ts";
import { asTensor, type TensorLike, tensorsOfConfig } from "./config-tensors.ts";
import { cellWidthOf, moduleInput } from "./operators.ts";

/** pyvene's RepresentationConfig with named fields in camelCase. */
export interface RepresentationConfig {
  /** 0-based; not needed beside a module path. */
  readonly layer?: number;
  /**
   * A component ("block_output"), a module path ("model.layers[6].self_attn.o_proj.output"), or "value <name>": a value of the
   * ONNX graph under the name that the file gives it.
   */
  readonly component: Component | (string & {});
  /** Default "pos"; "h" and "h.pos" address heads of head_* components. */
  readonly unit?: Unit;
  readonly maxNumberOfUnits?: number;
  /** A kind ("addition"), pyvene's class ("AdditionIntervention"), or what defineIntervention returned. */
  readonly interventionType: Kind | PyveneClass | (string & {}) | DefinedIntervention;
  /** Constant source, [d] or broadcasting over [batch, positions, d]. Without it a source is given at run time. */
  readonly sourceRepresentation?: TensorLike;
  /** The kind's tensors by role ("rotation", "weight", ...; see the table of kinds). What is not given begins anew. */
  readonly tensors?: Readonly<Record<string, TensorLike>>;
  /** The kind's parameters by name ("temperature", "activation", "scaling", ...). */
  readonly parameters?: Readonly<Record<string, number | string | boolean>>;
  /** Rank r of tensors that begin anew; the number of latents of a JumpReLU autoencoder, as in pyvene. */
  readonly lowRankDimension?: number;
  /** Latents f of an autoencoder that begins anew. */
  readonly latentDim?: number;
  /** Features or latents acted on: how many leading ones, or which; null: all. Default: pyvene's interchange_dim. */
  readonly dimension?: number | readonly number[] | null;
  /** Makes tensors that begin with random numbers repeatable. Default: its index among the representations. */
  readonly seed?: number;
  /** Interventions of one group take one source. */
  readonly groupKey?: number;
  /** Interventions of one link share their tensors. */
  readonly interventionLinkKey?: number | string;
  /** Named slices of the features for `subspaces`: [start, end) pairs, or index lists. */
  readonly subspacePartition?: readonly (readonly number[])[];
  /** Which tokens generate touches, also as text ("last", "prompt=all;generated=0..5"); default pyvene's: generated ones only. */
  readonly tokens?: TokensPolicy | string;
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
  /** Results to record, and answers that a correct load must give; `save` records answers of its own given samples. */
  readonly evaluation?: readonly Evaluation[];
  readonly expected?: readonly Expected[];
}

const configNames = [
  "representations",
  "mode",
  "name",
  "summary",
  "license",
  "provenance",
  "evaluation",
  "expected",
] as const satisfies readonly (keyof IntervenableConfig)[];

const representationNames = [
  "layer",
  "component",
  "unit",
  "maxNumberOfUnits",
  "interventionType",
  "sourceRepresentation",
  "tensors",
  "parameters",
  "lowRankDimension",
  "latentDim",
  "dimension",
  "seed",
  "groupKey",
  "interventionLinkKey",
  "subspacePartition",
  "tokens",
  "strength",
] as const satisfies readonly (keyof RepresentationConfig)[];

/** What a manifest records of a model. */
export function baseOf(model: Model): Base {
  const { name, revision, architecture, fingerprint } = model;
  const { layers, hiddenSize } = model.shape;
  return {
    model: name,
    ...(revision === undefined ? {} : { revision }),
    architecture,
    // 0 where a model has no such thing, as a file that is no decoder.
    layers: layers || null,
    hiddenSize: hiddenSize || null,
    fingerprint,
  };
}

/** Throws `intervention-invalid`, `site-unknown`, `manifest-invalid`, `artefact-tensor`, `tensor-invalid`. */
export function artefactOfConfig(config: IntervenableConfig, model: Model): Artefact {
  checkKeys("the config", config, configNames, "intervention-invalid");
  const list = config.representations;
  const representations: readonly RepresentationConfig[] = Array.isArray(list) ? list : [list];
  for (const representation of representations) {
    checkKeys("a representation", representation, representationNames, "intervention-invalid");
  }
  const parts = representations.map((representation) => partOf(representation, model));
  const keys = interventionKeys(parts);
  const tensors = new Map<string, Tensor>();
  const linked = new Map<number | string, Intervention>();
  const interventions = parts.map((part, i) => {
    const link = part.representation.interventionLinkKey;
    const twin = link === undefined ? undefined : linked.get(link);
    const entry = entryOf(part, keys[i]!, { twin, tensors, seed: i }, model);
    if (link !== undefined && twin === undefined) linked.set(link, entry);
    return entry;
  });
  const draft = {
    name: config.name ?? "unnamed",
    summary: config.summary ?? "",
    license: config.license ?? "unknown",
    base: baseOf(model),
    mode: config.mode ?? "parallel",
    interventions,
    provenance: { ...config.provenance, tool: toolOfVene },
    ...(config.evaluation === undefined ? {} : { evaluation: [...config.evaluation] }),
    ...(config.expected === undefined ? {} : { expected: [...config.expected] }),
  };
  return made(draft, tensors);
}

/** A faulty manifest is here a faulty config: what to correct is in the caller's code. */
function made(draft: ManifestDraft, tensors: ReadonlyMap<string, Tensor>): Artefact {
  try {
    return makeArtefact(draft, tensors);
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "manifest-invalid") throw thrown;
    const { code, message, details } = thrown;
    throw new VeneError(code, message, { hint: "correct the config", details, cause: thrown });
  }
}

interface Part {
  readonly kind: Kind;
  readonly definition: DefinedIntervention | undefined;
  readonly site: Site;
  readonly maxUnits: number;
  readonly representation: RepresentationConfig;
}

function partOf(representation: RepresentationConfig, model: Model): Part {
  const { interventionType: type, maxNumberOfUnits } = representation;
  const definition = typeof type === "string" ? undefined : definitionOf(type.name);
  const kind = typeof type === "string" ? kindOf(type) : "custom";
  const maxUnits = maxNumberOfUnits ?? 1;
  if (!Number.isSafeInteger(maxUnits) || maxUnits < 1 || maxUnits > MOST_UNITS) {
    throw new VeneError(
      "manifest-invalid",
      `maxNumberOfUnits is ${maxUnits}, expected a number from 1 to ${MOST_UNITS}`,
      {
        hint: "correct the config",
      },
    );
  }
  return { kind, definition, site: siteOf(representation, model), maxUnits, representation };
}

/** Located at once, so that a layer or module that this model lacks is refused as such. */
function siteOf({ layer, component, unit }: RepresentationConfig, model: Model): Site {
  if (layer === undefined && isComponent(component)) {
    throw new VeneError("intervention-invalid", `${component} needs a layer`, {
      hint: "give layer, 0-based; only module paths go without",
      details: { component },
    });
  }
  const isValue = typeof component === "string" && component.startsWith("value ");
  const named = isValue ? parseSite(component) : siteOfPyvene(layer ?? 0, component, "pos");
  const site = { ...named, unit: unit ?? named.unit };
  model.sites.locate(site);
  return site;
}

interface Entries {
  /** What it is linked to. */
  readonly twin: Intervention | undefined;
  /** Grows by the entry's own. */
  readonly tensors: Map<string, Tensor>;
  readonly seed: number;
}

function entryOf(part: Part, key: string, { twin, tensors, seed }: Entries, model: Model): Intervention {
  const { kind, site, maxUnits, definition, representation: r } = part;
  const takesSource = definition?.takesSource ?? Object.hasOwn(kindSpecs[kind].tensors, "source");
  if (r.sourceRepresentation !== undefined && !takesSource) {
    throw new VeneError("intervention-invalid", `${key}: ${kind} interventions take no sourceRepresentation`);
  }
  checkParameters(part, key);
  if (twin !== undefined && (twin.kind !== kind || r.tensors !== undefined)) {
    throw new VeneError("intervention-invalid", `${key} is linked to ${twin.key}: it has its kind and its tensors`, {
      hint: "give tensors to the first of a link only",
    });
  }
  const sizes = sizesOf(part, key, model);
  const names: { [role: string]: string } = twin === undefined ? {} : Object.fromEntries(tensorNames(twin));
  const own = (role: string, tensor: Tensor) => {
    names[role] = `${key}.${role}`;
    tensors.set(names[role], tensor);
  };
  if (twin === undefined) {
    const request = { key, kind, definition, given: r.tensors ?? {}, sizes, seed: r.seed ?? seed };
    for (const [role, tensor] of tensorsOfConfig(request)) own(role, tensor);
  }
  if (r.sourceRepresentation !== undefined) own("source", asTensor(r.sourceRepresentation));
  return {
    key,
    kind,
    site,
    maxUnits,
    parameters: { ...(definition === undefined ? {} : { definition: definition.name }), ...r.parameters },
    tensors: names,
    dimension: r.dimension === undefined ? usualDimension(kind, sizes) : r.dimension,
    strength: { ...usualStrength(kind), ...r.strength },
    tokens: typeof r.tokens === "string" ? parseTokensPolicy(r.tokens) : (r.tokens ?? pyveneDefaultTokens),
    ...(r.groupKey === undefined ? {} : { group: r.groupKey }),
    ...(r.subspacePartition === undefined ? {} : { subspacePartition: r.subspacePartition.map((part) => [...part]) }),
    ...(r.interventionLinkKey === undefined ? {} : { link: r.interventionLinkKey }),
  } as Intervention;
}

/** The parameters of a kind are checked with the manifest; those of a definition are its own. Throws `intervention-invalid`. */
function checkParameters({ definition, representation }: Part, key: string): void {
  if (definition === undefined) return;
  const known = Object.keys(definition.parameters);
  const unknown = Object.keys(representation.parameters ?? {}).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new VeneError(
    "intervention-invalid",
    `${key}: ${definition.name} has no parameter ${JSON.stringify(unknown)}`,
    {
      hint: `its parameters: ${known.join(", ") || "none"}`,
      details: { unknown, known },
    },
  );
}

function latentsGiven(bias: TensorLike | undefined): number | undefined {
  return bias === undefined ? undefined : asTensor(bias).size;
}

/** Sizes by their symbols in the shapes of tensors. */
function sizesOf(part: Part, key: string, model: Model): Map<string, number> {
  const { kind, definition, site, maxUnits, representation: r } = part;
  const entry = { key, site } as Intervention;
  const width = cellWidthOf(entry, model.sites.locate(site));
  const together = (definition?.units ?? kindSpecOf(kind).units) === "together";
  const sizes = new Map([
    ["1", 1],
    ["d", width],
    ["n", together ? width * maxUnits : width],
  ]);
  if (r.lowRankDimension !== undefined) sizes.set("r", r.lowRankDimension);
  const latents = r.latentDim ?? r.lowRankDimension ?? latentsGiven(r.tensors?.["encoderBias"]);
  if (latents !== undefined) sizes.set("f", latents);
  if (kind === "lora") sizes.set("m", moduleInput(entry, model.sites).width);
  return sizes;
}

/**
 * pyvene's interchange_dim begins as the site's width. That is all features, except for autoencoders: there it counts latents
 * (JumpReLU: the first d of them) or names one (Autoencoder: the latent d).
 */
function usualDimension(kind: Kind, sizes: ReadonlyMap<string, number>): number | number[] | null {
  const [width, latents = 0] = [sizes.get("n")!, sizes.get("f")];
  if (width >= latents) return null;
  if (kind === "jumprelu-autoencoder") return width;
  return kind === "autoencoder" ? [width] : null;
}

function kindOf(name: string): Kind {
  const kind = isKind(name) ? name : kindOfPyveneClass(name);
  if (kind !== undefined) return kind;
  throw new VeneError("intervention-invalid", `${JSON.stringify(name)} is not a kind of intervention`, {
    hint: `kinds: ${kinds.join(", ")}; pyvene's class names do, too`,
    details: { name },
  });
}
