/** Renders the zod schemas as JSON Schema files; run as a program it writes them: node dist/spec/write-schemas.js schemas */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic.ts";
import { manifestSchema } from "./manifest.ts";

/** File name to schema and URN; the number is the format's. */
const published = {
  "intervention.schema.json": { id: "urn:vene:schema:intervention:1", schema: manifestSchema },
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
