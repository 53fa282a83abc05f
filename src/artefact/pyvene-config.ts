/** A config.json that some release of pyvene wrote, as plain checked values in order of the representations. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { type Kind, kindOfPyveneClass } from "../spec/kinds.ts";
import type { PyveneEra } from "../spec/manifest.ts";
import { type Site, siteOfPyvene, type Unit } from "../spec/sites.ts";
import { decodeRepresentation, type KeyPrefix, keyPrefixes, type RepresentationValues } from "./pyvene-eras.ts";
import { type PyveneKeys, pyveneKeys } from "./pyvene-keys.ts";
import { classNameOf, optionalNumber, positiveNumber, unitOf } from "./pyvene-values.ts";

export type JsonObject = { [key: string]: JsonValue };

/** One intervention as a config.json describes it; its tensors are in other files. */
export interface PyveneIntervention {
  /** The class as the config has it; only its last part says something. */
  readonly classText: string;
  /** The kind that the class's name means; undefined for a class unknown by name. */
  readonly kind: Kind | undefined;
  readonly site: Site;
  readonly maxUnits: number;
  /** low_rank_dimension. */
  readonly lowRank: number | undefined;
  /** latent_dim. */
  readonly latents: number | undefined;
  /** interchange_dim; null where pyvene knew none. */
  readonly dimension: number | number[] | null;
  /** Whether a constant source belongs to it; undefined where the release did not say (before 0.0.7). */
  readonly constantSource: boolean | undefined;
  readonly subspacePartition: number[][] | undefined;
  readonly group: number | undefined;
  readonly link: number | string | undefined;
  /** Its key in every spelling. */
  readonly keys: PyveneKeys;
}

export interface PyveneConfig {
  readonly era: PyveneEra;
  readonly mode: "parallel" | "serial";
  readonly interventions: readonly PyveneIntervention[];
}

/** The prefix under which an object holds pyvene's representations, or undefined if it is no config of pyvene's. */
export function prefixOf(json: JsonValue): KeyPrefix | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  return keyPrefixes.find((prefix) => Object.hasOwn(json, `${prefix}representations`));
}

/**
 * Reads a config.json of any era; keys it does not know are ignored. Throws `pyvene-config`.
 */
export function parsePyveneConfig(json: JsonValue, name = "config.json"): PyveneConfig {
  const prefix = prefixOf(json);
  if (prefix === undefined) {
    throw new VeneError("pyvene-config", `${name} has no list of representations`, { details: { name } });
  }
  const config = json as JsonObject;
  const elements = config[`${prefix}representations`]!;
  if (!Array.isArray(elements) || elements.length === 0) {
    throw new VeneError("pyvene-config", `${name}: representations is not a list with an element`, {
      details: { name },
    });
  }
  const decoded = elements.map((element, index) => decodeRepresentation(element, index, prefix));
  const count = elements.length;
  const types = perIntervention(config, prefix === "" ? "intervention_types" : `${prefix}interventions_type`, count);
  const dimensions = perIntervention(config, "intervention_dimensions", count);
  const constants = perIntervention(config, "intervention_constant_sources", count);
  const parts = decoded.map(({ values }, index) => partsOf(values, index));
  const keys = pyveneKeys(parts);
  return {
    era: decoded[0]!.era,
    mode: modeOf(config["mode"] ?? "parallel"),
    interventions: decoded.map(({ values }, index) => ({
      ...classOf(values.get("intervention_type") ?? types[index]!, index),
      site: siteOf(parts[index]!, index),
      maxUnits: parts[index]!.maxUnits,
      lowRank: optionalNumber(values.get("low_rank_dimension") ?? null, "low_rank_dimension", index),
      latents: optionalNumber(values.get("latent_dim") ?? null, "latent_dim", index),
      dimension: dimensionOf(dimensions[index]!, index),
      constantSource: constantOf(constants[index]!, values, index),
      subspacePartition: partitionOf(values.get("subspace_partition") ?? null, index),
      group: optionalNumber(values.get("group_key") ?? null, "group_key", index),
      link: linkOf(values.get("intervention_link_key") ?? null, index),
      keys: keys[index]!,
    })),
  };
}

/** A list with one element per intervention; a single value stands for all, an absent one is null for each. */
function perIntervention(config: JsonObject, key: string, count: number): JsonValue[] {
  const value = config[key] ?? null;
  if (!Array.isArray(value)) return Array.from({ length: count }, () => value);
  if (value.length === count) return value;
  throw new VeneError("pyvene-config", `${key} has ${value.length} elements for ${count} representations`, {
    details: { key, found: value.length, expected: count },
  });
}

function partsOf(values: RepresentationValues, index: number) {
  const component = values.get("component") ?? "block_output";
  if (typeof component !== "string") throw wrong("component", component, index);
  return {
    layer: optionalNumber(values.get("layer") ?? null, "layer", index) ?? 0,
    component,
    unit: unitOf(values.get("unit") ?? "pos", index),
    maxUnits: positiveNumber(values.get("max_number_of_units") ?? 1, "max_number_of_units", index),
  };
}

function siteOf({ layer, component, unit }: { layer: number; component: string; unit: Unit }, index: number): Site {
  try {
    return siteOfPyvene(layer, component, unit);
  } catch (cause) {
    if (!(cause instanceof VeneError)) throw cause;
    const { hint, details } = cause;
    throw new VeneError("pyvene-config", `representation ${index}: ${cause.message}`, {
      ...(hint === undefined ? {} : { hint }),
      details,
      cause,
    });
  }
}

function classOf(type: JsonValue, index: number): Pick<PyveneIntervention, "classText" | "kind"> {
  if (typeof type !== "string") throw wrong("intervention type", type, index);
  return { classText: type, kind: kindOfPyveneClass(classNameOf(type)) };
}

function modeOf(value: JsonValue): "parallel" | "serial" {
  if (value === "parallel" || value === "serial") return value;
  throw new VeneError("pyvene-config", `mode is ${JSON.stringify(value).slice(0, 60)}, expected parallel or serial`);
}

function dimensionOf(value: JsonValue, index: number): number | number[] | null {
  if (value === null) return null;
  // 0 is a latent to an autoencoder.
  if (!Array.isArray(value)) return optionalNumber(value, "intervention dimension", index)!;
  if (value.length > 0 && value.every(isIndex)) return value;
  throw wrong("intervention dimension", value, index);
}

function constantOf(value: JsonValue, values: RepresentationValues, index: number): boolean | undefined {
  if (typeof value === "boolean") return value;
  if (value === null) return values.get("hidden_source_representation") === true ? true : undefined;
  throw wrong("intervention_constant_sources", value, index);
}

function partitionOf(value: JsonValue, index: number): number[][] | undefined {
  if (value === null) return undefined;
  const isPartition = (list: JsonValue[]): list is number[][] =>
    list.every((part) => Array.isArray(part) && part.length > 0 && part.every(isIndex));
  if (Array.isArray(value) && value.length > 0 && isPartition(value)) return value;
  throw wrong("subspace_partition", value, index);
}

function linkOf(value: JsonValue, index: number): number | string | undefined {
  if (value === null) return undefined;
  if (typeof value === "string" || Number.isSafeInteger(value)) return value as number | string;
  throw wrong("intervention_link_key", value, index);
}

function isIndex(value: JsonValue): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function wrong(field: string, value: JsonValue, index: number): VeneError {
  return new VeneError("pyvene-config", `representation ${index}: ${field} is ${JSON.stringify(value).slice(0, 60)}`, {
    details: { field, index },
  });
}
