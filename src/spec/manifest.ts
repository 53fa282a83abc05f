/** intervention.json, format 1: its zod schema, and reading it with migrations and rules that a schema cannot say. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import { interventionSchema } from "./intervention.ts";
import { describeIssues } from "./issues.ts";
import { currentFormat, migrate } from "./migrations.ts";
import { manifestFaults } from "./rules.ts";
import { maybeEmptyTextUpTo, sha256Schema, textUpTo } from "./text.ts";

/** What other files call an artefact: lower case, as Hub repositories and registries have it. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,94}[a-z0-9])?$/)
  .meta({ description: "lower-case letters, digits, dots, dashes and underscores", examples: ["honest-smollm2"] });

/** The model an intervention was made for; null where its maker did not record it (pyvene's saves name no model). */
export const baseSchema = z
  .strictObject({
    model: textUpTo(200).nullable().meta({ description: "Hub id or name of the model; null if not recorded" }),
    revision: textUpTo(100).optional().meta({ description: "commit or tag on the Hub" }),
    architecture: textUpTo(100)
      .nullable()
      .meta({ description: "model_type of the model's config.json", examples: ["llama"] }),
    layers: z.int().min(1).max(10000).nullable(),
    hiddenSize: z.int().min(1).max(1_048_576).nullable(),
    fingerprint: sha256Schema.optional().meta({ description: "sha256 of the base's config and its weights' index" }),
  })
  .meta({ id: "base" });

const toolSchema = z.strictObject({ name: textUpTo(100), version: textUpTo(100) });

export const provenanceSchema = z
  .strictObject({
    method: textUpTo(200).optional(),
    description: maybeEmptyTextUpTo(20000).optional(),
    data: z.array(textUpTo(500)).optional().meta({ description: "data sets and prompts it was made from" }),
    tool: toolSchema,
    created: textUpTo(40).optional().meta({ description: "date, if its maker wants one recorded" }),
    sourceFiles: z.array(z.strictObject({ name: textUpTo(500), sha256: sha256Schema })).optional(),
  })
  .meta({ id: "provenance" });

export const evaluationSchema = z
  .strictObject({
    name: textUpTo(200).meta({ description: "the benchmark or data set" }),
    metric: textUpTo(200),
    split: textUpTo(100).optional(),
    value: z.number(),
    baseline: z.number().optional().meta({ description: "the same metric without the intervention" }),
    n: z.int().min(1).optional().meta({ description: "examples measured" }),
    note: maybeEmptyTextUpTo(2000).optional(),
  })
  .meta({ id: "evaluation" });

const tokenIds = z.array(z.int().min(0));
const message = z.strictObject({ role: textUpTo(40), content: maybeEmptyTextUpTo(200_000) });

export const expectedSchema = z
  .strictObject({
    prompt: z.union([maybeEmptyTextUpTo(200_000), z.array(message).min(1)]),
    maxNewTokens: z.int().min(1).max(1_000_000),
    plain: tokenIds.optional().meta({ description: "new token ids without the intervention, greedy" }),
    steered: tokenIds.meta({ description: "new token ids with the intervention, greedy" }),
    strength: z.number().optional(),
  })
  .meta({ id: "expected", description: "what a correct rehydration generates" });

/** pyvene's layouts of config.json, by the key prefix and the number of fields of a representation. */
export const pyveneEras = ["alignable-8", "intervenable-8", "10", "11", "12", "13", "14", "named"] as const;

export const pyveneOriginSchema = z
  .strictObject({
    era: z.enum(pyveneEras).meta({ description: 'field layout of the representations; "named" = objects or text' }),
    config: z.record(z.string(), z.unknown()).meta({ description: "the config.json this was read from, unchanged" }),
    keys: z.array(textUpTo(300)).meta({ description: "pyvene's key of each intervention, as its files are named" }),
  })
  .meta({ id: "pyvene", description: "kept so that what came from pyvene goes back to pyvene unchanged" });

export const tensorsFileName = "intervention.safetensors";

const fileSchema = z.strictObject({ sha256: sha256Schema, size: z.int().min(0) });

/** intervention.json in format 1. */
export const manifestSchema = z
  .strictObject({
    format: z.literal(currentFormat),
    name: nameSchema,
    summary: maybeEmptyTextUpTo(2000).meta({ description: "what it does, in a sentence" }),
    license: textUpTo(100).meta({
      description: 'SPDX id as the Hub writes it, or "other", "unknown"',
      examples: ["apache-2.0"],
    }),
    base: baseSchema,
    mode: z.enum(["parallel", "serial"]),
    interventions: z.array(interventionSchema).min(1),
    provenance: provenanceSchema.optional(),
    evaluation: z.array(evaluationSchema).optional(),
    expected: z.array(expectedSchema).optional(),
    files: z.strictObject({ [tensorsFileName]: fileSchema }),
    pyvene: pyveneOriginSchema.optional(),
  })
  .meta({
    title: "vene intervention, format 1",
    description:
      "interventions on a language model: where, what, how strongly, on which tokens, and where they come from",
  });

/** A manifest with defaults filled in. */
export type Manifest = z.infer<typeof manifestSchema>;
export type Base = z.infer<typeof baseSchema>;
export type Provenance = z.infer<typeof provenanceSchema>;
export type Evaluation = z.infer<typeof evaluationSchema>;
export type Expected = z.infer<typeof expectedSchema>;
export type PyveneEra = (typeof pyveneEras)[number];

/**
 * Reads a manifest of any released format. Older formats are migrated in memory, step by step. Throws `format-newer` for a
 * format this vene does not know yet and `manifest-invalid` with every fault and where it is.
 */
export function parseManifest(json: unknown, name = "intervention.json"): Manifest {
  const parsed = manifestSchema.safeParse(migrate(json, name));
  if (!parsed.success) throw invalid(name, describeIssues(parsed.error.issues));
  const faults = manifestFaults(parsed.data);
  if (faults.length > 0) throw invalid(name, faults);
  return parsed.data;
}

function invalid(name: string, faults: readonly string[]): VeneError {
  const shown = faults.slice(0, 8).join("; ");
  const rest = faults.length > 8 ? `; and ${faults.length - 8} more` : "";
  return new VeneError("manifest-invalid", `${name}: ${shown}${rest}`, {
    hint: "correct it by hand after schemas/intervention.schema.json, or save the artefact again",
    details: { name, faults },
  });
}
