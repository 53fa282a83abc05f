/** Which key signed for a namespace when it was first seen here: a file of pins. */
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { describeIssues } from "../spec/issues.ts";
import { timeSchema } from "../spec/registry-names.ts";
import { sha256Schema } from "../spec/text.ts";

const pinSchema = z.strictObject({ keyid: sha256Schema, since: timeSchema });
const pinsSchema = z.strictObject({ pins: z.literal(1), namespaces: z.record(z.string(), pinSchema) });

export type KeyPin = z.infer<typeof pinSchema>;

const MAX_PINS_BYTES = 16 << 20;

/** The pins of all namespaces in `file`; none where there is no file. Throws `registry-invalid`, `json-invalid`. */
export async function readPins(file: string): Promise<Readonly<Record<string, KeyPin>>> {
  const bytes = await readSmallFile(file, MAX_PINS_BYTES).catch((thrown: unknown) => {
    if (thrown instanceof VeneError && thrown.code === "file-missing") return undefined;
    throw thrown;
  });
  if (bytes === undefined) return {};
  const parsed = pinsSchema.safeParse(parseJson(bytes, { name: file }));
  if (parsed.success) return parsed.data.namespaces;
  throw new VeneError("registry-invalid", `${file}: ${describeIssues(parsed.error.issues).slice(0, 4).join("; ")}`, {
    hint: "move it away: keys are pinned anew at the next use, so compare them with what their owners say",
    details: { path: file },
  });
}

/** Pins a key for a namespace, in place of an earlier one: for first uses, and for changes that a person looked into. */
export async function pinKey(file: string, namespace: string, keyid: string, at: Date = new Date()): Promise<void> {
  const namespaces = { ...(await readPins(file)), [namespace]: { keyid, since: at.toISOString() } };
  await writeFileAtomic(file, `${JSON.stringify({ pins: 1, namespaces }, null, 2)}\n`, 0o600);
}
