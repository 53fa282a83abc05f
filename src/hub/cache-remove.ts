/** Removes from the Hub cache: repositories, revisions, and what nothing refers to. A blob that is still linked stays. */
import { lstat, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { cacheError } from "./cache-records.ts";
import {
  type CachedRepo,
  type CachedRevision,
  type CacheOptions,
  cacheFolderOf,
  fullName,
  notCached,
  scanCache,
} from "./cache-scan.ts";

export interface RemoveOptions extends CacheOptions {
  /** Say what would go, and leave it. */
  readonly dryRun?: boolean | undefined;
}

const optionNames = ["dryRun", "hub", "signal"] as const satisfies readonly (keyof RemoveOptions)[];

/** What went, or would go. */
export interface Removed {
  /** Repositories that went whole. */
  readonly repos: readonly string[];
  /** "org/name@<commit>". */
  readonly revisions: readonly string[];
  readonly blobs: number;
  readonly temporaries: number;
  /** Bytes freed. */
  readonly bytes: number;
}

/** What is younger may belong to a download that is going on: the ref is written last. */
const YOUNG_MS = 3600 * 1000;

interface Selection {
  readonly repo: CachedRepo;
  readonly revisions: readonly CachedRevision[];
  /** Unfinished downloads and blobs without a link. */
  readonly leftovers: readonly { readonly place: string; readonly size: number }[];
  readonly whole: boolean;
}

/**
 * Removes each target: "org/name" whole, or "org/name@<ref or commit>" with the blobs that no other revision has. Datasets and
 * spaces are "datasets/org/name". Throws `hub-not-found` before anything is removed if a target is not there.
 */
export async function removeFromCache(targets: readonly string[], options: RemoveOptions = {}): Promise<Removed> {
  checkKeys("the cache's options", options, optionNames, "usage");
  const cacheFolder = cacheFolderOf(options);
  const repos = await scanCache(cacheFolder, options.signal);
  const chosen = new Map<CachedRepo, Set<CachedRevision> | "whole">();
  for (const target of targets) {
    const [name, revision] = split(target);
    const repo = repos.find((one) => fullName(one) === name);
    const found = repo === undefined ? [] : revision === undefined ? repo.revisions : matching(repo, revision);
    if (repo === undefined || (revision !== undefined && found.length === 0)) throw notCached(target, cacheFolder);
    const before = chosen.get(repo);
    if (revision === undefined) chosen.set(repo, "whole");
    else if (before !== "whole") chosen.set(repo, new Set([...(before ?? []), ...found]));
  }
  const selections = [...chosen].map(([repo, what]): Selection => {
    const revisions = what === "whole" ? repo.revisions : [...what];
    return { repo, revisions, leftovers: [], whole: what === "whole" || revisions.length === repo.revisions.length };
  });
  return remove(selections, options);
}

/** Removes revisions that no branch or tag names and what unfinished downloads left, in both cases if an hour old. */
export async function pruneCache(options: RemoveOptions = {}): Promise<Removed> {
  checkKeys("the cache's options", options, optionNames, "usage");
  const old = ({ modifiedMs }: { modifiedMs: number }) => Date.now() - modifiedMs > YOUNG_MS;
  const selections = (await scanCache(cacheFolderOf(options), options.signal)).map((repo): Selection => {
    const revisions = repo.revisions.filter((revision) => revision.refs.length === 0 && old(revision));
    const linked = new Set(repo.revisions.flatMap(({ files }) => files.map(({ blob }) => blob)));
    const unlinked = [...repo.blobs].filter(([name, blob]) => !linked.has(name) && old(blob)).map(([, blob]) => blob);
    const leftovers = [...repo.temporaries.filter(old), ...unlinked];
    const all = revisions.length > 0 && revisions.length === repo.revisions.length;
    return { repo, revisions, leftovers, whole: all && [...repo.temporaries, ...repo.blobs.values()].every(old) };
  });
  return remove(selections, options);
}

function split(target: string): [name: string, revision: string | undefined] {
  const at = target.indexOf("@");
  return at === -1 ? [target, undefined] : [target.slice(0, at), target.slice(at + 1)];
}

function matching({ revisions }: CachedRepo, revision: string): readonly CachedRevision[] {
  const short = /^[0-9a-f]{7,40}$/.test(revision);
  return revisions.filter(({ commit, refs }) => refs.includes(revision) || (short && commit.startsWith(revision)));
}

async function remove(selections: readonly Selection[], { dryRun = false }: RemoveOptions): Promise<Removed> {
  const sum = { repos: [] as string[], revisions: [] as string[], blobs: 0, temporaries: 0, bytes: 0 };
  for (const selection of selections) {
    const { repo, revisions, leftovers, whole } = selection;
    const blobs = whole ? [...repo.blobs.values()] : orphans(selection);
    const temporaries = whole ? repo.temporaries : leftovers.filter(({ place }) => place.endsWith(".incomplete"));
    const unlinked = whole ? [] : leftovers.filter(({ place }) => !place.endsWith(".incomplete"));
    const copies = revisions.flatMap(({ files }) => files.filter(({ blob }) => blob === undefined));
    if (whole) sum.repos.push(fullName(repo));
    sum.revisions.push(...revisions.map(({ commit }) => `${fullName(repo)}@${commit}`));
    sum.blobs += blobs.length + unlinked.length;
    sum.temporaries += temporaries.length;
    for (const { size } of [...blobs, ...unlinked, ...temporaries, ...copies]) sum.bytes += size;
    if (dryRun) continue;
    if (whole) await removeAll(repo.folder);
    else await removeParts(selection, [...blobs, ...leftovers]);
  }
  return sum;
}

/** Blobs that only the selected revisions have. */
function orphans({ repo, revisions }: Selection) {
  const going = new Set(revisions);
  const kept = new Set(repo.revisions.flatMap((one) => (going.has(one) ? [] : one.files.map(({ blob }) => blob))));
  const names = new Set(revisions.flatMap(({ files }) => files.map(({ blob }) => blob)));
  return [...names].flatMap((name) => (name === undefined || kept.has(name) ? [] : [repo.blobs.get(name)!]));
}

/** Names first, contents last: whatever stops this, no name leads to something that is gone. */
async function removeParts(
  { repo, revisions }: Selection,
  files: readonly { readonly place: string }[],
): Promise<void> {
  for (const { commit, folder, refs } of revisions) {
    for (const ref of refs) await removeRef(join(repo.folder, "refs"), ref);
    await removeAll(folder);
    await removeAll(join(repo.folder, "trees", `${commit}.json`));
    await removeAll(join(repo.folder, ".no_exist", commit));
  }
  for (const { place } of files) await removeAll(place);
}

/** The ref, and folders of its name that it leaves empty. */
async function removeRef(root: string, ref: string): Promise<void> {
  await removeAll(join(root, ref));
  for (let folder = dirname(join(root, ref)); folder !== root; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      return; // others are in it
    }
  }
}

/** Deletes links, never what they lead to. Throws `hub-cache`. */
async function removeAll(path: string): Promise<void> {
  try {
    const status = await lstat(path).catch(() => undefined);
    if (status !== undefined) await rm(path, { recursive: status.isDirectory(), force: true });
  } catch (cause) {
    throw cacheError(`cannot remove ${path}: ${messageOf(cause)}`, path, cause);
  }
}
