/** Renders the zod schemas as JSON Schema files; run as a program it writes them: node dist/spec/write-schemas.js schemas */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic.ts";
import { manifestSchema } from "./manifest.ts";
import { aliasesSchema, indexLineSchema, registrySchema, searchRowSchema, searchSchema } from "./registry-index.ts";
import { publisherKeysSchema } from "./registry-keys.ts";
import { lockfileSchema } from "./registry-lockfile.ts";
import { logEntrySchema, logHeadSchema } from "./registry-log.ts";
import { releaseSchema } from "./registry-release.ts";

/** File name to schema and URN; the number is the format's. */
const published = {
  "intervention.schema.json": { id: "urn:vene:schema:intervention:1", schema: manifestSchema },
  "registry.schema.json": { id: "urn:vene:schema:registry:1", schema: registrySchema },
  "registry-aliases.schema.json": { id: "urn:vene:schema:registry-aliases:1", schema: aliasesSchema },
  "registry-index-line.schema.json": { id: "urn:vene:schema:registry-index-line:1", schema: indexLineSchema },
  "registry-keys.schema.json": { id: "urn:vene:schema:registry-keys:1", schema: publisherKeysSchema },
  "registry-lockfile.schema.json": { id: "urn:vene:schema:registry-lockfile:1", schema: lockfileSchema },
  "registry-log-entry.schema.json": { id: "urn:vene:schema:registry-log-entry:1", schema: logEntrySchema },
  "registry-log-head.schema.json": { id: "urn:vene:schema:registry-log-head:1", schema: logHeadSchema },
  "registry-release.schema.json": { id: "urn:vene:schema:registry-release:1", schema: releaseSchema },
  "registry-search.schema.json": { id: "urn:vene:schema:registry-search:1", schema: searchSchema },
  "registry-search-row.schema.json": { id: "urn:vene:schema:registry-search-row:1", schema: searchRowSchema },
} as const satisfies { [fileName: string]: { id: string; schema: z.ZodType } };

/** The text of every file under schemas/, by file name: JSON Schema draft 2020-12 of what a file may contain (not of defaults filled in). */
export function renderSchemas(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [fileName, { id, schema }] of Object.entries(published)) {
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: "input" });
    files.set(fileName, `${JSON.stringify({ $schema, $id: id, ...rest }, null, 2)}\n`);
  }
  return files;
}

/** Writes {@link renderSchemas} into a folder, made if need be. Throws `write-failed`. */
export async function writeSchemas(folder: string): Promise<void> {
  for (const [fileName, text] of renderSchemas()) await writeFileAtomic(join(folder, fileName), text);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await writeSchemas(process.argv[2] ?? "schemas");
}
