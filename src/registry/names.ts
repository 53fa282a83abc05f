/** Names of interventions, checked, and where a registry keeps what belongs to them. */
import { VeneError } from "../base/errors.ts";
import { aliasSchema, type Digest, digestSchema, releaseNameSchema, versionSchema } from "../spec/registry-names.ts";

export const registryPath = "registry.json";
export const logHeadPath = "log/head.json";
export const searchPath = "search.json";

/** "namespace/name". Throws `registry-usage`. */
export function checkName(name: string): string {
  if (releaseNameSchema.safeParse(name).success) return name;
  throw new VeneError("registry-usage", `${JSON.stringify(name)} is no name of an intervention in a registry`, {
    hint: 'a name is "namespace/name": a-z, 0-9, single dots, dashes and underscores between them, 64 at most per part',
    details: { name },
  });
}

/** Throws `registry-usage`. */
export function checkVersion(version: string): string {
  if (versionSchema.safeParse(version).success) return version;
  throw new VeneError("registry-usage", `${JSON.stringify(version)} is no semantic version`, {
    hint: 'a version looks like "1.2.0" or "2.0.0-beta.1"',
    details: { version },
  });
}

/** Throws `registry-usage`. */
export function checkAlias(alias: string): string {
  if (aliasSchema.safeParse(alias).success) return alias;
  throw new VeneError("registry-usage", `${JSON.stringify(alias)} cannot be an alias`, {
    hint: 'an alias is a word of a-z, 0-9 and dashes, such as "stable"; "x" is a range',
    details: { alias },
  });
}

export function isDigest(text: string): text is Digest {
  return digestSchema.safeParse(text).success;
}

/** The same for names that look alike: dashes, dots and underscores do not tell two names apart. */
export function lookAlike(name: string): string {
  return name.replace(/[._-]/g, "");
}

/** "ab/cd" of "abcd", "3/a" of "abc": folders stay small however many names there are. */
function prefixOf(name: string): string {
  const letters = name.slice(name.indexOf("/") + 1).replace(/[^a-z0-9]/g, "_");
  if (letters.length <= 2) return String(letters.length);
  return letters.length === 3 ? `3/${letters[0]}` : `${letters.slice(0, 2)}/${letters.slice(2, 4)}`;
}

export function indexPath(name: string): string {
  return `index/${prefixOf(name)}/${name}.jsonl`;
}

export function aliasesPath(name: string): string {
  return `aliases/${prefixOf(name)}/${name}.json`;
}

/** Names that look alike are in the same shard. */
export function shardPath(name: string): string {
  return `search/${lookAlike(name.slice(name.indexOf("/") + 1)).slice(0, 2) || "_"}.jsonl`;
}

export function releasePath(digest: Digest): string {
  return `manifests/sha256/${digest.slice(7, 9)}/${digest.slice(7)}.json`;
}

/** `sha256` as bare hex digits. */
export function blobPath(sha256: string): string {
  return `blobs/sha256/${sha256.slice(0, 2)}/${sha256}`;
}

const LOG_SEGMENT = 1000;

/** The log is cut into files of a thousand lines, so that a change rewrites only the last one. */
export function logPath(seq: number): string {
  return `log/${String(Math.floor((seq - 1) / LOG_SEGMENT)).padStart(6, "0")}.jsonl`;
}
