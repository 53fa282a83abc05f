/** The log of a registry: every change as a line that names the digest of the line before it. */
import { z } from "zod";
import { aliasSchema, digestSchema, timeSchema, versionSchema } from "./registry-names.ts";
import { textUpTo } from "./text.ts";

export const operations = ["publish", "yank", "unyank", "deprecate", "alias"] as const;

/** What happened. Unknown operations and keys are kept: the chain holds whatever newer tools log. */
export const logEntrySchema = z
  .looseObject({
    seq: z.int().min(1),
    prev: digestSchema.meta({ description: "of the line before, without its line break; zeros for the first" }),
    op: textUpTo(40).meta({ examples: [...operations] }),
    ref: textUpTo(300).meta({ description: "namespace/name@version, or namespace/name for an alias" }),
    digest: digestSchema.optional().meta({ description: "of the release" }),
    at: timeSchema,
    by: textUpTo(200).optional(),
    reason: textUpTo(2000).optional(),
    alias: aliasSchema.optional(),
    from: versionSchema.nullable().optional(),
    to: versionSchema.nullable().optional(),
  })
  .meta({ title: "vene registry: a line of the log" });

/** log/head.json: the last line and its digest. */
export const logHeadSchema = z
  .object({ seq: z.int().min(0), hash: digestSchema })
  .meta({ title: "vene registry: log/head.json" });

export type Operation = (typeof operations)[number];
export type LogEntry = z.infer<typeof logEntrySchema>;
export type LogHead = z.infer<typeof logHeadSchema>;
