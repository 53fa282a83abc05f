/** The shapes in which pyvene has written a representation: lists of 8 to 14 fields, objects, and text. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import type { PyveneEra } from "../spec/manifest.ts";
import { parsePythonCall } from "./python-repr.ts";

/** Fields of a representation that say something on disk; the others are always null there. */
export type RepresentationField =
  | "layer"
  | "component"
  | "unit"
  | "max_number_of_units"
  | "low_rank_dimension"
  | "intervention_type"
  | "intervention"
  | "subspace_partition"
  | "group_key"
  | "intervention_link_key"
  | "moe_key"
  | "source_representation"
  | "hidden_source_representation"
  | "latent_dim";

export type RepresentationValues = ReadonlyMap<string, JsonValue>;

const place = ["layer", "component", "unit", "max_number_of_units", "low_rank_dimension"] as const;
const grouping = ["subspace_partition", "group_key", "intervention_link_key"] as const;
const sources = ["moe_key", "source_representation", "hidden_source_representation"] as const;

/** pyvene's namedtuples by their number of fields, which alone tells the order; there was never one of 9. */
const layouts: ReadonlyMap<number, readonly RepresentationField[]> = new Map<number, readonly RepresentationField[]>([
  [8, [...place, ...grouping]],
  [10, [...place, ...grouping, ...sources.slice(0, 2)]],
  [11, [...place, ...grouping, ...sources]],
  [12, [...place, "intervention_type", ...grouping, ...sources]],
  [13, [...place, "intervention_type", "intervention", ...grouping, ...sources]],
  [14, [...place, "intervention_type", "intervention", ...grouping, ...sources, "latent_dim"]],
]);

/** The fields of the list that every release from 0.0.7 on reads; those from 0.1.3 on also read one with latent_dim. */
export function representationFields(withLatents: boolean): readonly RepresentationField[] {
  return layouts.get(withLatents ? 14 : 13)!;
}

/** Eras whose state dicts have no embed_dim and interchange_dim, and whose releases refuse what they do not know. */
export const unsizedEras: readonly PyveneEra[] = ["alignable-8", "intervenable-8", "10", "11"];

/** Names that objects and texts use, beside today's, for the same fields. */
const olderNames: ReadonlyMap<string, RepresentationField> = new Map<string, RepresentationField>([
  ["representation_type", "component"],
  ["moe", "moe_key"],
]);

/** Prefixes of the keys of config.json, oldest first. */
export const keyPrefixes = ["alignable_", "intervenable_", ""] as const;
export type KeyPrefix = (typeof keyPrefixes)[number];

/** One element of the representations, by field name, and the era its shape belongs to. Throws `pyvene-config`. */
export function decodeRepresentation(
  element: JsonValue,
  index: number,
  prefix: KeyPrefix,
): { era: PyveneEra; values: RepresentationValues } {
  if (Array.isArray(element)) {
    const layout = layouts.get(element.length);
    if (layout === undefined) throw unreadable(index, `a list of ${element.length} fields`);
    return { era: eraOf(element.length, prefix), values: new Map(layout.map((field, at) => [field, element[at]!])) };
  }
  if (typeof element === "string") {
    const values = parsePythonCall(element);
    if (values === undefined) throw unreadable(index, `the text ${JSON.stringify(element.slice(0, 60))}`);
    return { era: "named", values: renamed(values) };
  }
  if (typeof element === "object" && element !== null) {
    return { era: "named", values: renamed(new Map(Object.entries(element))) };
  }
  throw unreadable(index, JSON.stringify(element));
}

function eraOf(fields: number, prefix: KeyPrefix): PyveneEra {
  if (fields === 8) return prefix === "alignable_" ? "alignable-8" : "intervenable-8";
  return String(fields) as PyveneEra;
}

function renamed(values: ReadonlyMap<string, JsonValue>): RepresentationValues {
  const fields = new Map<string, JsonValue>();
  for (const [name, value] of values) {
    const plain = name.replace(/^(alignable|intervenable)_/, "");
    fields.set(olderNames.get(plain) ?? plain, value);
  }
  return fields;
}

function unreadable(index: number, found: string): VeneError {
  return new VeneError("pyvene-config", `representation ${index} is ${found}`, {
    hint: `pyvene writes lists of ${[...layouts.keys()].join(", ")} fields, objects or "RepresentationConfig(...)"`,
    details: { index },
  });
}
