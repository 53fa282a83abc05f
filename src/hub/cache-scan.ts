/** What the Hub cache holds: repositories, revisions, refs, blobs and leftovers. Looks at links without following them out. */
import type { Dirent, Stats } from "node:fs";
import { lstat, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { cacheError } from "./cache-records.ts";
import { type HubOptions, hubEnvironment } from "./environment.ts";
import { isCommit, type RepoType } from "./repo-id.ts";

/** One file of a revision. */
export interface CachedFile {
  /** In the repository. */
  readonly path: string;
  /** Where it lies: in the revision's folder. */
  readonly place: string;
  /** The blob it links to; undefined for a file that was copied, or one whose link leads nowhere allowed. */
  readonly blob: string | undefined;
  /** Bytes; 0 where the link leads nowhere. */
  readonly size: number;
}

export interface CachedRevision {
  readonly commit: string;
  readonly folder: string;
  /** Branches, tags and pull requests that are this commit. */
  readonly refs: readonly string[];
  readonly files: readonly CachedFile[];
  /** Bytes of its files, shared ones included. */
  readonly size: number;
  /** When a file was last added. */
  readonly modifiedMs: number;
}

export interface CachedRepo {
  /** "org/name". */
  readonly repo: string;
  readonly type: RepoType;
  readonly folder: string;
  readonly revisions: readonly CachedRevision[];
  /** Bytes on disk: each blob once. */
  readonly size: number;
  /** Blobs by file name. */
  readonly blobs: ReadonlyMap<string, { readonly place: string; readonly size: number; readonly modifiedMs: number }>;
  /** Unfinished downloads. */
  readonly temporaries: readonly { readonly place: string; readonly size: number; readonly modifiedMs: number }[];
  /** What is damaged, in sentences that name the file. */
  readonly faults: readonly string[];
}

const MAX_ENTRIES = 1_000_000;
const MAX_DEPTH = 40;
const types: Readonly<Record<string, RepoType>> = { models: "model", datasets: "dataset", spaces: "space" };
/** What file managers leave behind. */
const ignored = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);

export interface CacheOptions {
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

const optionNames = ["hub", "signal"] as const satisfies readonly (keyof CacheOptions)[];

/** What the Hub cache holds, of vene's and of Python's. Throws `hub-cache` where it cannot be read. */
export async function listCache(options: CacheOptions = {}): Promise<readonly CachedRepo[]> {
  checkKeys("the cache's options", options, optionNames, "usage");
  return scanCache(cacheFolderOf(options), options.signal);
}

export function cacheFolderOf({ hub }: CacheOptions): string {
  return hubEnvironment({ ...hub, token: null }).cacheFolder;
}

/** All repositories in a cache folder, by name; none if there is no such folder. */
export async function scanCache(cacheFolder: string, signal?: AbortSignal): Promise<CachedRepo[]> {
  const repos: CachedRepo[] = [];
  const walker = new Walker(signal);
  const root = await realpath(cacheFolder).catch(() => cacheFolder);
  for (const entry of await walker.list(root)) {
    const name = nameOf(entry.name);
    if (name !== undefined && entry.isDirectory()) repos.push(await scanRepo(root, entry.name, name, walker));
  }
  return repos.sort((a, b) => (a.repo < b.repo ? -1 : 1));
}

/** As targets name it: "org/name", "datasets/org/name". */
export function fullName({ type, repo }: Pick<CachedRepo, "repo" | "type">): string {
  return type === "model" ? repo : `${type}s/${repo}`;
}

/** The error for a target that is not there. */
export function notCached(target: string, cacheFolder: string): VeneError {
  return new VeneError("hub-not-found", `${target} is not in the cache ${cacheFolder}`, {
    hint: "`vene cache ls` lists what is",
    details: { target, cacheFolder },
  });
}

function nameOf(folder: string): Pick<CachedRepo, "repo" | "type"> | undefined {
  const [plural, ...parts] = folder.split("--");
  const type = Object.hasOwn(types, plural!) ? types[plural!] : undefined;
  return type === undefined || parts.length === 0 ? undefined : { repo: parts.join("/"), type };
}

async function scanRepo(
  cacheFolder: string,
  folderName: string,
  name: Pick<CachedRepo, "repo" | "type">,
  walker: Walker,
): Promise<CachedRepo> {
  const folder = join(cacheFolder, folderName);
  const faults: string[] = [];
  const { blobs, temporaries } = await scanBlobs(folder, cacheFolder, walker, faults);
  const refs = await scanRefs(folder, walker, faults);
  const revisions: CachedRevision[] = [];
  const snapshots = join(folder, "snapshots");
  for (const entry of await walker.list(snapshots)) {
    if (ignored.has(entry.name)) continue;
    if (!isCommit(entry.name) || !entry.isDirectory()) {
      faults.push(`${join(snapshots, entry.name)} is no folder of a commit`);
      continue;
    }
    const revision = join(snapshots, entry.name);
    const files = await scanFiles({ folder, revision, blobs }, walker, faults);
    const size = files.reduce((sum, file) => sum + file.size, 0);
    const { mtimeMs: modifiedMs } = await lstat(revision);
    revisions.push({ commit: entry.name, folder: revision, refs: refs.get(entry.name) ?? [], files, size, modifiedMs });
    refs.delete(entry.name);
  }
  for (const [commit, names] of refs)
    faults.push(`${names.join(", ")} of ${name.repo} is ${commit}, which is not there`);
  const copies = revisions.flatMap(({ files }) => files.filter(({ blob }) => blob === undefined));
  const size = [...blobs.values(), ...copies].reduce((sum, file) => sum + file.size, 0);
  return { ...name, folder, revisions, size, blobs, temporaries, faults };
}

async function scanBlobs(folder: string, cacheFolder: string, walker: Walker, faults: string[]) {
  const blobs = new Map<string, { place: string; size: number; modifiedMs: number }>();
  const temporaries: { place: string; size: number; modifiedMs: number }[] = [];
  for (const where of [folder, join(folder, "blobs")]) {
    for (const entry of await walker.list(where)) {
      const place = join(where, entry.name);
      const unfinished = entry.name.endsWith(".incomplete") && (entry.isFile() || entry.isSymbolicLink());
      if (where === folder && !unfinished) continue;
      const status = entry.isSymbolicLink() && !unfinished ? await sharedBlob(place, cacheFolder) : await lstat(place);
      if (!unfinished && status?.isFile() !== true) {
        if (!ignored.has(entry.name)) faults.push(`${place} is ${kindOf(entry)}, expected a file`);
        continue;
      }
      const found = { place, size: status!.size, modifiedMs: status!.mtimeMs };
      if (unfinished) temporaries.push(found);
      else if (!ignored.has(entry.name)) blobs.set(entry.name, found);
    }
  }
  return { blobs, temporaries };
}

/** Python keeps blobs that several repositories have in <cache>/blobs, and links to them. No other link is followed. */
async function sharedBlob(place: string, cacheFolder: string): Promise<Stats | undefined> {
  const target = resolve(place, "..", await readlink(place));
  if (!isInside(target, join(cacheFolder, "blobs"))) return undefined;
  return lstat(target).catch(() => undefined);
}

function kindOf(entry: Dirent): string {
  if (entry.isSymbolicLink()) return "a link out of the cache or to nothing";
  return entry.isDirectory() ? "a folder" : "something special";
}

async function scanRefs(folder: string, walker: Walker, faults: string[]): Promise<Map<string, string[]>> {
  const root = join(folder, "refs");
  const refs = new Map<string, string[]>();
  await walker.walk(root, async (place, entry) => {
    const text = entry.isFile() && (await lstat(place)).size < 100 ? await readFile(place, "utf8") : "";
    const commit = text.trim();
    // Python takes a commit with a newline for another one.
    if (!isCommit(commit) || text !== commit) faults.push(`${place} holds ${JSON.stringify(text)}, expected a commit`);
    if (!isCommit(commit)) return;
    refs.set(commit, [...(refs.get(commit) ?? []), relative(root, place).split(sep).join("/")]);
  });
  return refs;
}

interface Snapshot {
  readonly folder: string;
  readonly revision: string;
  readonly blobs: CachedRepo["blobs"];
}

async function scanFiles(
  { folder, revision, blobs }: Snapshot,
  walker: Walker,
  faults: string[],
): Promise<CachedFile[]> {
  const files: CachedFile[] = [];
  await walker.walk(revision, async (place, entry) => {
    const path = relative(revision, place).split(sep).join("/");
    if (entry.isFile()) {
      files.push({ path, place, blob: undefined, size: (await lstat(place)).size });
      return;
    }
    const target = entry.isSymbolicLink() ? resolve(place, "..", await readlink(place)) : undefined;
    const name = target === undefined ? undefined : relative(join(folder, "blobs"), target);
    const blob = name === undefined ? undefined : blobs.get(name);
    if (blob === undefined) {
      const inside = target !== undefined && isInside(target, join(folder, "blobs"));
      faults.push(`${place} ${inside ? "links to a blob that is not there" : "is no link to a blob"}`);
    }
    files.push({ path, place, blob: blob === undefined ? undefined : name, size: blob?.size ?? 0 });
  });
  return files;
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder + sep);
}

/** Lists folders with a bound on how much there may be; a folder that is not there is empty. */
class Walker {
  readonly #signal: AbortSignal | undefined;
  #left = MAX_ENTRIES;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  async list(folder: string): Promise<Dirent[]> {
    throwIfAborted(this.#signal);
    try {
      if (!(await lstat(folder)).isDirectory()) return [];
      const entries = await readdir(folder, { withFileTypes: true });
      this.#left -= entries.length;
      if (this.#left < 0) throw new VeneError("hub-cache", `${folder}: more than ${MAX_ENTRIES} files`);
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (cause) {
      if (cause instanceof VeneError) throw cause;
      if (systemCodeOf(cause) === "ENOENT") return [];
      throw cacheError(`cannot list ${folder}: ${messageOf(cause)}`, folder, cause);
    }
  }

  /** Everything below a folder that is no folder itself. */
  async walk(folder: string, visit: (place: string, entry: Dirent) => Promise<void>, depth = 0): Promise<void> {
    if (depth > MAX_DEPTH) throw new VeneError("hub-cache", `${folder} is more than ${MAX_DEPTH} folders deep`);
    for (const entry of await this.list(folder)) {
      const place = join(folder, entry.name);
      if (entry.isDirectory()) await this.walk(place, visit, depth + 1);
      else if (!ignored.has(entry.name)) await visit(place, entry);
    }
  }
}
