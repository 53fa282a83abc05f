/** interventions.lock.json: what a project's names resolved to, down to the digest of every file. */
import { z } from "zod";
import { digestSchema, fileNameSchema, releaseNameSchema, versionSchema } from "./registry-names.ts";
import { sha256Schema, textUpTo } from "./text.ts";

const lockedFilesSchema = z.record(fileNameSchema, sha256Schema);

const registryEntrySchema = z.strictObject({
  registry: z.uuid().meta({ description: "id in the registry's registry.json" }),
  name: releaseNameSchema,
  version: versionSchema,
  digest: digestSchema.meta({ description: "of the release" }),
  seq: z.int().min(0).meta({ description: "entries that the registry's log had" }),
  source: textUpTo(2200).meta({ description: "where the files came from; any other source of the same bytes will do" }),
  files: lockedFilesSchema,
});

const directEntrySchema = z.strictObject({
  direct: textUpTo(2200).meta({ description: "the same source, pinned: a commit, a digest" }),
  files: lockedFilesSchema,
});

/** Entries by the text that was asked for. */
export const lockfileSchema = z
  .strictObject({
    lockfile: z.literal(1),
    interventions: z.record(textUpTo(2200), z.union([registryEntrySchema, directEntrySchema])),
  })
  .meta({ title: "vene: interventions.lock.json" });

export type Lockfile = z.infer<typeof lockfileSchema>;
export type LockedRelease = z.infer<typeof registryEntrySchema>;
export type LockedDirect = z.infer<typeof directEntrySchema>;
