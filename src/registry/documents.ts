/** The small documents of a registry, read and checked; what is written is checked the same way. */
import type { z } from "zod";
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { describeIssues } from "../spec/issues.ts";
import { type Aliases, aliasesSchema, type Registry, registrySchema } from "../spec/registry-index.ts";
import type { Digest } from "../spec/registry-names.ts";
import { type Release, releaseSchema } from "../spec/registry-release.ts";
import { aliasesPath, registryPath, releasePath } from "./names.ts";
import type { Snapshot } from "./store.ts";

const MAX_SMALL_BYTES = 1 << 20;
export const MAX_RELEASE_BYTES = 8 << 20;

/** A document that follows its schema. Throws `registry-invalid` naming what does not. */
export function parseDocument<S extends z.ZodType>(schema: S, content: Uint8Array | string, name: string): z.output<S> {
  const parsed = schema.safeParse(parseJsonDocument(content, name));
  if (parsed.success) return parsed.data;
  const faults = describeIssues(parsed.error.issues);
  throw new VeneError("registry-invalid", `${name}: ${faults.slice(0, 5).join("; ")}`, { details: { name, faults } });
}

function parseJsonDocument(content: Uint8Array | string, name: string) {
  try {
    return parseJson(content, { name });
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "json-invalid") throw thrown;
    throw new VeneError("registry-invalid", thrown.message, { details: thrown.details, cause: thrown });
  }
}

/** registry.json. Throws `registry-missing` where there is none. */
export async function readRegistry(snapshot: Snapshot, location: string): Promise<Registry> {
  const bytes = await snapshot.read(registryPath, MAX_SMALL_BYTES);
  if (bytes !== undefined) return parseDocument(registrySchema, bytes, `${registryPath} of ${location}`);
  throw new VeneError("registry-missing", `there is no registry at ${location}: it has no ${registryPath}`, {
    hint: "check the location, or make one there: vene registry init",
    details: { location },
  });
}

/** Aliases of a name; none where there is no file. */
export async function readAliases(snapshot: Snapshot, name: string): Promise<Aliases> {
  const path = aliasesPath(name);
  const bytes = await snapshot.read(path, MAX_SMALL_BYTES);
  return bytes === undefined ? {} : parseDocument(aliasesSchema, bytes, path);
}

/**
 * Reads release manifests from exactly the bytes that the digest names. Throws `registry-integrity` for others and for a release
 * that calls itself something else, `registry-invalid`, `registry-missing`.
 */
export async function readRelease(
  snapshot: Snapshot,
  digest: Digest,
  claimed?: { readonly name: string; readonly version: string },
): Promise<{ release: Release; bytes: Uint8Array }> {
  const path = releasePath(digest);
  const bytes = await snapshot.read(path, MAX_RELEASE_BYTES);
  if (bytes === undefined) {
    throw new VeneError("registry-missing", `the registry has no release ${digest}`, { details: { digest, path } });
  }
  return { release: parseRelease(bytes, digest, claimed), bytes };
}

/** As {@link readRelease}, of bytes at hand. */
export function parseRelease(
  bytes: Uint8Array,
  digest: Digest,
  claimed?: { readonly name: string; readonly version: string },
): Release {
  const found: Digest = `sha256:${sha256Of(bytes)}`;
  if (found !== digest) {
    throw new VeneError("registry-integrity", `a release has the digest ${found}, expected ${digest}`, {
      hint: "the registry or something on the way changed it; nothing of it was used",
      details: { found, expected: digest },
    });
  }
  const release = parseDocument(releaseSchema, bytes, releasePath(digest));
  const { name, version } = claimed ?? release;
  if (release.name === name && release.version === version) return release;
  throw new VeneError(
    "registry-integrity",
    `the index passes ${release.name}@${release.version} off as ${name}@${version}`,
    { hint: "tell who runs the registry", details: { digest, found: release.version, expected: version } },
  );
}

/** How documents are written: the same content gives the same bytes. */
export function documentBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);
}
