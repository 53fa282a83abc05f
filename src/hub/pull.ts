/** Pulls: a revision becomes a commit, its listing a plan, and what the cache lacks is fetched and verified. */
import { statfs } from "node:fs/promises";
import { throwIfAborted } from "../base/abort.ts";
import { makeFolder } from "../base/atomic.ts";
import { messageOf, VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { ProgressListener } from "../base/progress.ts";
import { RepoCache } from "./cache.ts";
import { cacheError, readListing, readRef, writeListing, writeRef } from "./cache-records.ts";
import type { FileDigest, ListedFile, RepoFile } from "./digests.ts";
import { download } from "./download.ts";
import { type HubEnvironment, type HubOptions, hubEnvironment } from "./environment.ts";
import { listFiles, resolveCommit } from "./listing.ts";
import { checkRevision, isCommit, parseRepoRef, type RepoId, resolveUrl } from "./repo-id.ts";
import { artefactSelection, modelSelection, type Selection } from "./selection.ts";

export interface PullOptions {
  /** Branch, tag, refs/pr/n or commit. Default "main". */
  readonly revision?: string | undefined;
  readonly hub?: HubOptions | undefined;
  /** Only plan: nothing is fetched or written. */
  readonly dryRun?: boolean | undefined;
  /** Hash large cached files, too; small ones always are. */
  readonly verify?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

export interface PulledFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly digest: FileDigest;
  /** Whether the cache had it before. */
  readonly cached: boolean;
}

export interface Pulled {
  readonly repo: string;
  /** What was asked for, and the commit it was: 40 hex digits. */
  readonly revision: string;
  readonly commit: string;
  /** "org/name@commit": the same bytes for ever. */
  readonly pinned: string;
  /** Where the files lie; after a dry run, where they would. Never write into it. */
  readonly folder: string;
  readonly files: readonly PulledFile[];
  /** Sentences worth telling the user. */
  readonly notices: readonly string[];
}

const optionNames = [
  "revision",
  "hub",
  "dryRun",
  "verify",
  "signal",
  "onProgress",
] as const satisfies readonly (keyof PullOptions)[];

/**
 * Pulls an intervention, "org/name" or "org/name@revision": of a repository only the files that make it up. Works from the cache alone in offline mode, and with a
 * notice where the Hub cannot be reached. Throws `hub-*`, `artefact-missing`, `aborted`.
 */
export function pullArtefact(repo: string, options: PullOptions = {}): Promise<Pulled> {
  return pullNamed(repo, artefactSelection, options);
}

/** Pulls a checkpoint: config, tokenizer, safetensors. As {@link pullArtefact}; throws `checkpoint-invalid`, `weights-missing`. */
export function pullModel(repo: string, options: PullOptions = {}): Promise<Pulled> {
  return pullNamed(repo, modelSelection, options);
}

async function pullNamed(text: string, selection: Selection, options: PullOptions): Promise<Pulled> {
  checkKeys("pull's options", options, optionNames, "usage");
  const { repo, revision } = parseRepoRef(text);
  if (revision !== undefined && options.revision !== undefined && revision !== options.revision) {
    throw new VeneError("hub-usage", `${text} names a revision, and the options name ${options.revision}`, {
      hint: "give one of them",
    });
  }
  return pull(hubEnvironment(options.hub), repo, selection, { ...options, revision: revision ?? options.revision });
}

/** What both do; `selection` picks the files. */
export async function pull(
  environment: HubEnvironment,
  repo: RepoId,
  selection: Selection,
  options: Omit<PullOptions, "hub"> = {},
): Promise<Pulled> {
  const revision = checkRevision(options.revision ?? "main");
  throwIfAborted(options.signal);
  const job: Job = { environment, repo, revision, selection, options, cache: new RepoCache(environment, repo) };
  const { commit, listing, files, notices } = await look(job);
  if (options.dryRun !== true) {
    await fetchMissing(job, commit, files);
    notices.push(...(await record(job, commit, listing)));
  }
  return {
    repo: repo.name,
    revision,
    commit,
    pinned: `${repo.name}@${commit}`,
    folder: job.cache.snapshotFolder(commit),
    files,
    notices,
  };
}

interface Job {
  readonly environment: HubEnvironment;
  readonly repo: RepoId;
  readonly revision: string;
  readonly selection: Selection;
  readonly options: Omit<PullOptions, "hub">;
  readonly cache: RepoCache;
}

/** Which files are wanted, at which commit. */
interface Found {
  readonly commit: string;
  /** All files of the commit, where it is worth recording. */
  readonly listing: readonly ListedFile[] | undefined;
  readonly files: readonly PulledFile[];
  readonly notices: string[];
}

async function look(job: Job): Promise<Found> {
  const { environment, repo, revision, options } = job;
  if (environment.offline) {
    const cached = await lookInCache(job);
    if (cached !== undefined) return cached;
    throw new VeneError(
      "hub-offline",
      `${repo.name}@${revision} is not in the cache, or not whole, and offline mode is on`,
      {
        hint: "unset HF_HUB_OFFLINE, or pull it while there is a network",
        details: { repo: repo.name, revision, cacheFolder: environment.cacheFolder },
      },
    );
  }
  try {
    const commit = isCommit(revision) ? revision : await resolveCommit(environment, repo, revision, options.signal);
    // What a commit holds never changes: with all of it here there is nothing to ask.
    const known = await lookAt(job, commit, await readListing(job.cache.folder, commit));
    if (known !== undefined) return known;
    const listing = await listFiles(environment, repo, commit, options.signal);
    return { commit, listing, files: await plan(job, commit, listing), notices: [] };
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "hub-unreachable") throw thrown;
    const cached = await lookInCache(job).catch(() => undefined);
    if (cached === undefined) throw thrown;
    const notice = `the Hub did not answer: using ${repo.name}@${cached.commit} from the cache`;
    return { ...cached, notices: [notice] };
  }
}

/** By what was recorded when the revision was last pulled. Undefined unless every wanted file is there. */
async function lookInCache(job: Job): Promise<Found | undefined> {
  const { cache, revision } = job;
  const commit = isCommit(revision) ? revision : await readRef(cache.folder, revision);
  if (commit === undefined) return undefined;
  const listing = await readListing(cache.folder, commit);
  return lookAt(job, commit, listing ?? (await cache.snapshotFiles(commit)));
}

async function lookAt(job: Job, commit: string, listing: readonly RepoFile[] | undefined): Promise<Found | undefined> {
  if (listing === undefined) return undefined;
  const files = await plan(job, commit, listing);
  return files.every(({ cached }) => cached) ? { commit, listing: undefined, files, notices: [] } : undefined;
}

/** The files that are wanted of a listing, and which of them the cache has. */
async function plan(job: Job, commit: string, listing: readonly RepoFile[]): Promise<readonly PulledFile[]> {
  const { selection, repo, cache, options } = job;
  const paths = listing.map(({ path }) => path);
  const taken = new Set(selection(paths, repo.name));
  const files: PulledFile[] = [];
  for (const { path, size, digest } of listing) {
    if (!taken.has(path)) continue;
    const cached = await cache.has(commit, { path, size, digest }, options.verify === true);
    files.push({ path, size, digest, cached });
  }
  return files;
}

const AT_ONCE = 4;

async function fetchMissing(job: Job, commit: string, files: readonly PulledFile[]): Promise<void> {
  const { cache, options } = job;
  const missing: PulledFile[] = [];
  for (const file of files) {
    if (!file.cached && !(await cache.link(commit, file, options.verify === true))) missing.push(file);
  }
  if (missing.length === 0) return;
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  await checkSpace(job.environment.cacheFolder, total);
  await cache.sweep();
  const { onBytes } = progressOf(job, total);
  // The first failure ends the others; what is whole already stays for the next time.
  const failure = new AbortController();
  const signal = options.signal === undefined ? failure.signal : AbortSignal.any([options.signal, failure.signal]);
  const queue = [...missing].sort((a, b) => b.size - a.size);
  let first: unknown;
  const work = async () => {
    for (let file = queue.shift(); file !== undefined && !signal.aborted; file = queue.shift()) {
      await fetchOne(job, commit, file, { signal, onBytes });
    }
  };
  const workers = Array.from({ length: Math.min(AT_ONCE, missing.length) }, () =>
    work().catch((thrown: unknown) => {
      first ??= thrown;
      failure.abort();
    }),
  );
  await Promise.all(workers);
  if (first !== undefined) throw first;
  throwIfAborted(options.signal);
}

async function fetchOne(
  { environment, repo, cache }: Job,
  commit: string,
  file: RepoFile,
  how: { signal: AbortSignal; onBytes: (count: number) => void },
): Promise<void> {
  const url = resolveUrl(environment.endpoint, repo, commit, file.path);
  await cache.add(commit, file, (handle) => download(environment, handle, { file, url, ...how }));
}

function progressOf({ repo, options, environment }: Job, total: number): { onBytes: (count: number) => void } {
  const phase = `pulling ${repo.name}`;
  let done = 0;
  const report = () => {
    if (environment.progress) options.onProgress?.({ phase, done, total, unit: "bytes" });
  };
  report();
  return {
    onBytes(count) {
      done += count;
      report();
    },
  };
}

/** Before the first byte rather than after the last that fits. Throws `hub-cache`. */
async function checkSpace(folder: string, needed: number): Promise<void> {
  let free: number;
  try {
    await makeFolder(folder);
    const { bavail, bsize } = await statfs(folder);
    free = bavail * bsize;
  } catch (cause) {
    throw cacheError(`the Hub cache cannot be used at ${folder}: ${messageOf(cause)}`, folder, cause);
  }
  if (needed <= free) return;
  throw new VeneError("hub-cache", `the download has ${needed} bytes, but ${folder} has only ${free} free`, {
    hint: "free some space, or set HF_HOME to another disk",
    details: { path: folder, needed, free },
  });
}

/** After everything else, so that a revision never stands for a commit that is only half here. */
async function record(job: Job, commit: string, listing: readonly ListedFile[] | undefined): Promise<string[]> {
  const { cache, revision, environment } = job;
  try {
    if (listing !== undefined) await writeListing(cache.folder, commit, listing);
    if (!environment.offline) await writeRef(cache.folder, revision, commit);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "hub-cache") throw thrown;
    return [`the files are usable, but offline mode will not find ${revision}: ${thrown.message}`];
  }
}
