/** What an OpenSSF model signature (v1.0) says: an in-toto statement that lists files by their digests. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { signatureFileName } from "../artefact/folder.ts";
import { messageOf, VeneError } from "../base/errors.ts";
import { type JsonValue, parseJson } from "../formats/json.ts";
import { describeIssues } from "../spec/issues.ts";
import { sha256Schema, textUpTo } from "../spec/text.ts";
import { byName, type FileDigest } from "./artefact-files.ts";

export type SignedFile = Pick<FileDigest, "name" | "sha256">;

/** A statement: what is signed and the files it consists of, in order. */
export interface Statement {
  /** Name of the subject: an artefact's, or "namespace/name@version" in a registry. */
  readonly subject: string;
  readonly resources: readonly SignedFile[];
}

const statementType = "https://in-toto.io/Statement/v1";
const predicateType = "https://model_signing/signature/v1.0";
/** Never part of what is signed, as model_signing leaves them out. */
const ignored = [signatureFileName, ".git", ".gitattributes", ".github", ".gitignore"];

const statementSchema = z.object({
  _type: z.literal(statementType),
  subject: z.array(z.object({ name: textUpTo(1000), digest: z.object({ sha256: sha256Schema }) })).length(1),
  predicateType: z.literal(predicateType),
  predicate: z.object({
    serialization: z.object({ method: z.literal("files"), hash_type: z.literal("sha256") }),
    resources: z
      .array(z.object({ name: textUpTo(1000), algorithm: z.literal("sha256"), digest: sha256Schema }))
      .min(1)
      .max(10_000),
  }),
});

/** The statement as JSON text, the same for the same files. */
export function encodeStatement({ subject, resources }: Statement): string {
  const sorted = [...resources].sort(byName);
  return JSON.stringify({
    _type: statementType,
    subject: [{ name: subject, digest: { sha256: rootDigest(sorted) } }],
    predicateType,
    predicate: {
      serialization: { method: "files", hash_type: "sha256", allow_symlinks: false, ignore_paths: ignored },
      resources: sorted.map(({ name, sha256 }) => ({ name, algorithm: "sha256", digest: sha256 })),
    },
  });
}

/** Throws `registry-signature` for another format, a file that is listed twice, and a subject that is not of the files. */
export function decodeStatement(payload: Uint8Array, source: string): Statement {
  const { subject, predicate } = parseSigned(statementSchema, payload, source);
  const resources = predicate.resources.map(({ name, digest }) => ({ name, sha256: digest as FileDigest["sha256"] }));
  if (new Set(resources.map(({ name }) => name)).size !== resources.length) {
    throw statementFault(source, "it lists a file twice");
  }
  const { name, digest } = subject[0]!;
  if (digest.sha256 !== rootDigest(resources)) {
    throw statementFault(source, `its subject has the digest ${digest.sha256}, its files ${rootDigest(resources)}`);
  }
  return { subject: name, resources };
}

/** sha256 over the raw digests of the files, in their order. */
function rootDigest(resources: readonly SignedFile[]): string {
  const hash = createHash("sha256");
  for (const { sha256 } of resources) hash.update(Buffer.from(sha256, "hex"));
  return hash.digest("hex");
}

/** JSON in the shape of `schema`. Throws `registry-signature` for anything else. */
export function parseSigned<T>(schema: z.ZodType<T>, content: string | Uint8Array, source: string): T {
  let json: JsonValue;
  try {
    json = parseJson(content, { name: source });
  } catch (cause) {
    throw statementFault(source, messageOf(cause), cause);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw statementFault(source, describeIssues(parsed.error.issues).slice(0, 4).join("; "));
}

function statementFault(source: string, what: string, cause?: unknown): VeneError {
  return new VeneError("registry-signature", `${source} is no signature that vene can check: ${what}`, {
    hint: "vene checks OpenSSF model signatures v1.0 made with a key, over whole files with sha256",
    details: { source },
    cause,
  });
}
