/** Publishing: a new version of a name, once and for ever. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { Source } from "../spec/registry-index.ts";
import type { Digest } from "../spec/registry-names.ts";
import { type Change, changeRegistry } from "./change.ts";
import { documentBytes, readAliases } from "./documents.ts";
import { IndexFile } from "./index-file.ts";
import type { LogRecord } from "./log.ts";
import { aliasesPath, blobPath, lookAlike, releasePath, shardPath } from "./names.ts";
import { checkSources } from "./published-sources.ts";
import { configured, onlyOne, type RegistryOptions, registryOptionNames, type View } from "./registries.ts";
import { lineOf, type MadeRelease, makeRelease } from "./release.ts";
import { readShard } from "./search-shards.ts";
import { compareVersions, isPrerelease } from "./semver.ts";

export interface PublishOptions extends RegistryOptions {
  /** "namespace/name" */
  readonly name: string;
  readonly version: string;
  readonly tags?: readonly string[] | undefined;
  /** Where else the files are; they are looked at there first. Without any, they are stored in the registry. */
  readonly sources?: readonly Source[] | undefined;
  /** Keep the files in the registry beside `sources`. Default: only where there are no others. */
  readonly store?: boolean | undefined;
  /** Move "latest" to a stable version that is the highest. Default true. */
  readonly latest?: boolean | undefined;
  /** Who publishes, for the log. */
  readonly by?: string | undefined;
  /** When, for registries that are built from a recipe. Default: now. */
  readonly at?: string | undefined;
  /** Propose it as a pull request: on a Hub, without write access. */
  readonly pullRequest?: boolean | undefined;
}

const optionNames = [
  "name",
  "version",
  "tags",
  "sources",
  "store",
  "latest",
  "by",
  "at",
  "pullRequest",
  ...registryOptionNames,
] as const satisfies readonly (keyof PublishOptions)[];

export interface PublishedRelease {
  readonly name: string;
  readonly version: string;
  readonly digest: Digest;
  readonly pinned: string;
  readonly registry: string;
  /** False where the registry had it already, byte for byte. */
  readonly changed: boolean;
  readonly pullRequestUrl: string | undefined;
  readonly notices: readonly string[];
}

/**
 * Publishes the artefact in a folder. Repeating it changes nothing. Throws `registry-conflict` where the version exists with
 * other bytes or the name looks like another one, `registry-integrity` where a source has other bytes, `registry-usage`,
 * `bundle-invalid`, and what reading the artefact and writing the registry throw.
 */
export async function publishIntervention(folder: string, options: PublishOptions): Promise<PublishedRelease> {
  checkKeys("publish's options", options, optionNames, "usage");
  const { registry, cacheFolder, hub, signal, sources = [], store = sources.length === 0 } = options;
  const registries = configured({ registry, cacheFolder, hub, signal });
  const made = await makeRelease(folder, options);
  await checkSources(sources, made.release, registries);
  const blobs = store ? await blobsOf(folder, made) : new Map<string, Uint8Array>();
  const notices: string[] = [];
  const about = {
    sources: store ? [{ type: "blob" } as const, ...sources] : sources,
    published: options.at ?? new Date().toISOString(),
    by: options.by,
  };
  const { changed, pullRequestUrl } = await changeRegistry(registries, {
    pullRequest: options.pullRequest,
    decide: async (view) => {
      notices.splice(0);
      return decide(view, made, { about, blobs, notices, latest: options.latest !== false });
    },
  });
  const { name, version } = made.release;
  const registryName = onlyOne(registries).store.location;
  const pinned = `${name}@${made.digest}`;
  return { name, version, digest: made.digest, pinned, registry: registryName, changed, pullRequestUrl, notices };
}

interface Wanted {
  readonly about: Parameters<typeof lineOf>[1];
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly latest: boolean;
  readonly notices: string[];
}

async function decide(
  view: View,
  made: MadeRelease,
  { about, blobs, latest, notices }: Wanted,
): Promise<Change | undefined> {
  const { name, version } = made.release;
  const { digest } = made;
  const known = await IndexFile.read(view.snapshot, name);
  const there = known?.line(version);
  if (there?.digest === digest) return undefined;
  if (there !== undefined) throw taken(name, version, there.digest, digest);
  if (known === undefined) await checkLookAlikes(view, name, notices);
  const index = known ?? new IndexFile(name, "");
  index.set(lineOf(made, about));
  const by = about.by === undefined ? {} : { by: about.by };
  const files = new Map([...blobs, [releasePath(digest), made.bytes]]);
  const records: LogRecord[] = [{ op: "publish", ref: `${name}@${version}`, digest, at: about.published, ...by }];
  const aliases = await readAliases(view.snapshot, name);
  const before = aliases["latest"];
  if (latest && !isPrerelease(version) && (before === undefined || compareVersions(version, before) > 0)) {
    files.set(aliasesPath(name), documentBytes({ ...aliases, latest: version }));
    records.push({
      op: "alias",
      ref: name,
      at: about.published,
      ...by,
      alias: "latest",
      from: before ?? null,
      to: version,
    });
  }
  return { files, index, records, message: `Publish ${name}@${version}` };
}

/** Commits are made of bytes in memory. */
const MAX_STORED_BYTES = 1 << 30;

async function blobsOf(folder: string, { release }: MadeRelease): Promise<Map<string, Uint8Array>> {
  const blobs = new Map<string, Uint8Array>();
  for (const { path, sha256, size } of release.files) {
    if (size > MAX_STORED_BYTES) {
      throw new VeneError(
        "registry-usage",
        `${path} has ${size} bytes, more than the ${MAX_STORED_BYTES} that a registry stores`,
        {
          hint: "push the files to the Hub, and name that as their source",
          details: { path, size },
        },
      );
    }
    const bytes = await readFile(join(folder, path));
    if (sha256Of(bytes) !== sha256) {
      throw new VeneError("file-unreadable", `${path} changed while it was published`, { details: { folder, path } });
    }
    blobs.set(blobPath(sha256), bytes);
  }
  return blobs;
}

function taken(name: string, version: string, found: string, wanted: string): VeneError {
  return new VeneError("registry-conflict", `${name}@${version} exists as ${found}; this would be ${wanted}`, {
    hint: "a version is published once: choose the next one",
    details: { name, version, found, wanted },
  });
}

/** A new name must not be mistaken for one that is there. Throws `registry-conflict`. */
async function checkLookAlikes({ snapshot }: View, name: string, notices: string[]): Promise<void> {
  for (const other of (await readShard(snapshot, shardPath(name))).keys()) {
    if (lookAlike(other) === lookAlike(name)) {
      throw new VeneError("registry-conflict", `${name} looks like ${other}, which exists`, {
        hint: "dashes, dots and underscores do not tell two names apart: choose another name",
        details: { name, other },
      });
    }
    if (isOneEditAway(other, name)) notices.push(`${name} differs from ${other} in one character`);
  }
}

/** One character added, left out or replaced. */
function isOneEditAway(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) return false;
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const [a, b] = [one.slice(at), other.slice(at)];
  return a.slice(1) === b.slice(1) || a.slice(1) === b || a === b.slice(1);
}
