/** One intervention in a manifest: what every kind has in common, and a strict schema per kind. */
import { z } from "zod";
import type { KindSpec } from "./kind-spec.ts";
import { type Kind, kindSpecs, kinds } from "./kinds.ts";
import { siteSchema } from "./sites.ts";
import { maybeEmptyTextUpTo } from "./text.ts";
import { tokensPolicySchema } from "./tokens.ts";

/** Keys name files (intkey_<key>.bin) and are pyvene's where pyvene has one, so they hold no separator and no space. */
export const keySchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.#[\]-]{0,219}$/)
  .meta({
    id: "key",
    description: "unique within the artefact; pyvene's key where it has one",
    examples: ["layer_20_comp_block_output_unit_pos_nunit_1#0"],
  });

export const tensorNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.#[\]/-]{0,299}$/)
  .meta({ description: "name of a tensor in intervention.safetensors" });

export const strengthSchema = z.strictObject({ default: z.number(), min: z.number(), max: z.number() }).meta({
  id: "strength",
  description: "factor on the source: what is used unless told otherwise, and the sensible range",
});

/** pyvene's interchange_dim: how many leading features are touched (or, as a list, which); null = the site's whole width.
 * pyvene multiplies it by max_number_of_units, so it may exceed the width and then means all of it. */
export const dimensionSchema = z.union([z.int().min(1), z.array(z.int().min(0)).min(1), z.null()]).meta({
  id: "dimension",
  description:
    "leading features touched (no fewer than the width: all), or a list of features; null: all (pyvene's interchange_dim)",
});

export const subspacePartitionSchema = z
  .array(z.array(z.int().min(0)).min(1))
  .min(1)
  .meta({
    id: "subspacePartition",
    description: "named slices of the features: [start, end) pairs, or explicit indices",
  });

/** As it was made, from the opposite to four times as much: for kinds whose strength is a factor. */
export const defaultStrength = Object.freeze({ default: 1, min: -4, max: 4 });

const usualStrengths = {
  factor: defaultStrength,
  blend: { default: 1, min: 0, max: 1 },
  none: { default: 1, min: 0, max: 1 },
} as const satisfies { readonly [M in KindSpec["strength"]]: Strength };

/** The strength to record when its maker recorded none: as it was made, within a range that rarely breaks a model. */
export function usualStrength(kind: Kind): Strength {
  return { ...usualStrengths[kindSpecs[kind].strength] };
}

type Parameters<K extends Kind> = (typeof kindSpecs)[K]["parameters"];
type Role<K extends Kind> = keyof (typeof kindSpecs)[K]["tensors"] & string;
type TensorNames<K extends Kind> = z.ZodObject<
  { [R in Role<K>]: z.ZodOptional<typeof tensorNameSchema> },
  z.core.$strict
>;

const roleSchema = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/);

/** A strict object of the kind's tensor roles, each the name of a tensor. */
function tensorNamesOf<K extends Kind>(kind: K): TensorNames<K> {
  const spec: KindSpec = kindSpecs[kind];
  if (spec.openTensors === true) return z.record(roleSchema, tensorNameSchema) as unknown as TensorNames<K>;
  const shape: { [role: string]: z.ZodType } = {};
  for (const [role, { required, shape: symbols, description }] of Object.entries(spec.tensors)) {
    const name = tensorNameSchema.meta({ description: `tensor ${symbols}: ${description}` });
    shape[role] = required ? name : name.optional();
  }
  return z.strictObject(shape) as unknown as TensorNames<K>;
}

/** Most units that an intervention may act on at once. */
export const MOST_UNITS = 65_536;

function interventionOf<K extends Kind>(kind: K) {
  return z
    .strictObject({
      key: keySchema,
      kind: z.literal(kind),
      site: siteSchema,
      maxUnits: z.int().min(1).max(MOST_UNITS).default(1).meta({ description: "pyvene's max_number_of_units" }),
      parameters: (kindSpecs[kind].parameters as z.ZodObject).prefault({}) as unknown as z.ZodPrefault<Parameters<K>>,
      tensors: tensorNamesOf(kind),
      dimension: dimensionSchema.default(null),
      strength: strengthSchema,
      tokens: tokensPolicySchema,
      subspacePartition: subspacePartitionSchema.optional(),
      group: z
        .int()
        .min(0)
        .optional()
        .meta({ description: "pyvene's group_key: interventions of a group share a source" }),
      link: z
        .union([z.int(), maybeEmptyTextUpTo(200)])
        .optional()
        .meta({ description: "pyvene's intervention_link_key: interventions with one link share their tensors" }),
    })
    .meta({ description: kindSpecs[kind].description });
}

type InterventionSchemas = { readonly [K in Kind]: ReturnType<typeof interventionOf<K>> };

const interventionSchemas = Object.fromEntries(
  kinds.map((kind) => [kind, interventionOf(kind)]),
) as InterventionSchemas;

/** An intervention of any kind; `kind` decides which parameters and tensors it may have. */
export const interventionSchema = z.discriminatedUnion(
  "kind",
  Object.values(interventionSchemas) as [typeof interventionSchemas.addition, ...(typeof interventionSchemas)[Kind][]],
);

/** One intervention of a manifest, defaults filled in. */
export type Intervention = z.infer<typeof interventionSchema>;
export type Strength = z.infer<typeof strengthSchema>;

/** The tensor names of an intervention by role, whatever its kind. */
export function tensorNames(intervention: Intervention): readonly (readonly [role: string, name: string])[] {
  return Object.entries(intervention.tensors).filter((pair): pair is [string, string] => pair[1] !== undefined);
}
