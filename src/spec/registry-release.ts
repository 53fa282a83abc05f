/** A release: one version of an intervention in a registry, named by the digest of these very bytes. */
import { z } from "zod";
import { strengthSchema } from "./intervention.ts";
import { baseSchema, evaluationSchema, provenanceSchema } from "./manifest.ts";
import { fileNameSchema, releaseNameSchema, versionSchema } from "./registry-names.ts";
import { maybeEmptyTextUpTo, sha256Schema, textUpTo } from "./text.ts";

/** What a file of a release is for. */
export const fileRoles = ["manifest", "tensors", "card", "signature", "pyvene"] as const;

const releaseFileSchema = z.strictObject({
  path: fileNameSchema,
  size: z
    .int()
    .min(0)
    .max(2 ** 42),
  sha256: sha256Schema,
  role: z.enum(fileRoles),
});

const tagSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,39}$/);

/** What searches and people need to know without a download; index lines repeat it. */
export const releaseFacts = {
  name: releaseNameSchema,
  version: versionSchema,
  summary: maybeEmptyTextUpTo(2000),
  license: textUpTo(100),
  tags: z.array(tagSchema).max(50),
  base: baseSchema,
  kinds: z
    .array(textUpTo(60))
    .min(1)
    .meta({ examples: [["addition"]] }),
  strength: strengthSchema.optional().meta({ description: "where all interventions have the same" }),
};

/** The release manifest. Its version is inside, so that an index cannot pass it off as another. */
export const releaseSchema = z
  .strictObject({
    release: z.literal(1),
    ...releaseFacts,
    sites: z
      .array(textUpTo(700))
      .min(1)
      .max(10_000)
      .meta({ examples: [["layer 14 block_output"]] }),
    provenance: provenanceSchema.optional(),
    evaluation: z.array(evaluationSchema).optional(),
    files: z.array(releaseFileSchema).min(2).max(2000),
  })
  .refine(({ files }) => new Set(files.map(({ path }) => path.toLowerCase())).size === files.length, {
    error: "two files have the same name",
    path: ["files"],
  })
  .meta({ title: "vene registry: a release" });

export type Release = z.infer<typeof releaseSchema>;
export type ReleaseFile = Release["files"][number];
export type FileRole = (typeof fileRoles)[number];
