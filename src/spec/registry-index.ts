/** The documents of a registry that change: its root, the lines of a name, its aliases, and what searches read. */
import { z } from "zod";
import { baseSchema } from "./manifest.ts";
import { aliasSchema, digestSchema, namespaceSchema, timeSchema, versionSchema } from "./registry-names.ts";
import { releaseFacts } from "./registry-release.ts";
import { sha256Schema, textUpTo } from "./text.ts";

/** registry.json. Unknown keys are ignored: newer registries stay readable. */
export const registrySchema = z
  .object({
    registry: z.literal(1),
    id: z.uuid().meta({ description: "what clients remember it by, wherever it is served from" }),
    name: namespaceSchema.meta({ description: "what it is called in front of a colon" }),
    namespace: namespaceSchema.optional().meta({ description: "where names without a namespace are looked up" }),
  })
  .meta({ title: "vene registry: registry.json" });

const hfSourceSchema = z.object({
  type: z.literal("hf"),
  repo: textUpTo(120),
  revision: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .meta({ description: "commit" }),
});
const httpsSourceSchema = z.object({
  type: z.literal("https"),
  url: textUpTo(2000).meta({ description: "folder with the files, or with {sha256} in place of a file's digest" }),
});
const blobSourceSchema = z.object({ type: z.literal("blob") });

/** Where a release's files may be fetched; what they must be is said by the release alone. */
export const sourceSchema = z.discriminatedUnion("type", [blobSourceSchema, hfSourceSchema, httpsSourceSchema]);

export const severities = ["broken", "unsafe", "license", "superseded"] as const;

const yankSchema = z.object({
  at: timeSchema,
  by: textUpTo(200).optional(),
  reason: textUpTo(2000),
  severity: z.enum(severities),
  advisory: textUpTo(2000).optional().meta({ description: "URL with more about it" }),
});

/**
 * One line of index/<..>/<namespace>/<name>.jsonl: one version. Only `yanked` and `deprecated` ever change. Unknown keys are
 * kept: a change by this vene must not lose what a newer one wrote.
 */
export const indexLineSchema = z
  .looseObject({
    v: z.literal(1),
    ...releaseFacts,
    digest: digestSchema.meta({ description: "of the release manifest" }),
    size: z.int().min(2).max(8_388_608).meta({ description: "bytes of the release manifest" }),
    components: z.array(textUpTo(700)).max(10_000),
    method: textUpTo(200).optional(),
    bytes: z.int().min(0).meta({ description: "of all files" }),
    sources: z
      .array(z.union([sourceSchema, z.looseObject({ type: textUpTo(40) })]))
      .min(1)
      .max(16),
    published: timeSchema,
    by: textUpTo(200).optional(),
    deprecated: textUpTo(2000).nullable(),
    yanked: yankSchema.nullable(),
  })
  .meta({ title: "vene registry: a line of the index" });

/** aliases/<..>/<namespace>/<name>.json: versions only, so that aliases cannot chase one another. */
export const aliasesSchema = z
  .record(aliasSchema, versionSchema)
  .meta({ title: "vene registry: the aliases of a name" });

const { strength: _strength, ...searched } = releaseFacts;

/** A line of the shards that search.json lists: what a name offers, by its newest version. Short, as all of them are read. */
export const searchRowSchema = z
  .object({
    ...searched,
    base: baseSchema.pick({ model: true, architecture: true, layers: true, hiddenSize: true }),
    components: z.array(textUpTo(700)),
    bytes: z.int().min(0),
    yanked: z.boolean().meta({ description: "every version is withdrawn" }),
  })
  .meta({ title: "vene registry: a line of the search shards" });

/** search.json: derived from the index, and rebuilt from it at will. */
export const searchSchema = z
  .object({
    search: z.literal(1),
    shards: z.array(
      z.object({
        path: z.string().regex(/^search\/[a-z0-9_]{1,2}\.jsonl$/),
        size: z.int().min(0),
        sha256: sha256Schema,
      }),
    ),
  })
  .meta({ title: "vene registry: search.json" });

export type Registry = z.infer<typeof registrySchema>;
export type IndexLine = z.infer<typeof indexLineSchema>;
export type Source = z.infer<typeof sourceSchema>;
export type Yank = z.infer<typeof yankSchema>;
export type Severity = (typeof severities)[number];
export type Aliases = z.infer<typeof aliasesSchema>;
export type SearchRow = z.infer<typeof searchRowSchema>;
export type SearchIndex = z.infer<typeof searchSchema>;
