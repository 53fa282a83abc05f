/** Compares every cached file with the digest that it was downloaded by. Needs no network: blobs are named by their digests. */
import { throwIfAborted } from "../base/abort.ts";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { ProgressListener } from "../base/progress.ts";
import { readListing } from "./cache-records.ts";
import { type CachedRepo, type CacheOptions, cacheFolderOf, fullName, notCached, scanCache } from "./cache-scan.ts";
import { digestOfHex, fileMatches, type RepoFile } from "./digests.ts";

export interface VerifyOptions extends CacheOptions {
  /** "org/name" or "datasets/org/name"; default: everything. */
  readonly repo?: string | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

export interface VerifiedRepo {
  readonly repo: string;
  readonly type: CachedRepo["type"];
  /** Files whose digest was computed and is right. */
  readonly verified: number;
  /** Bytes that were read. */
  readonly bytes: number;
  /** Copies, of which nothing says what they should be. */
  readonly unknown: readonly string[];
  /** Wrong, missing, dangling or misplaced files, a sentence each. */
  readonly faults: readonly string[];
}

const optionNames = ["repo", "hub", "signal", "onProgress"] as const satisfies readonly (keyof VerifyOptions)[];

/** Checks one repository or all of them. Changes nothing. Throws `hub-not-found` for one that is not there, `hub-cache`. */
export async function verifyCache(options: VerifyOptions = {}): Promise<readonly VerifiedRepo[]> {
  checkKeys("the cache's options", options, optionNames, "usage");
  const { repo } = options;
  const cacheFolder = cacheFolderOf(options);
  const all = await scanCache(cacheFolder, options.signal);
  const repos = repo === undefined ? all : all.filter((one) => fullName(one) === repo);
  if (repo !== undefined && repos.length === 0) throw notCached(repo, cacheFolder);
  const total = repos.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const results: VerifiedRepo[] = [];
  for (const one of repos) {
    const onBytes = (bytes: number) => {
      done += bytes;
      options.onProgress?.({ phase: "verifying", done, total, unit: "bytes" });
    };
    results.push(await verifyRepo(one, options.signal, onBytes));
  }
  return results;
}

async function verifyRepo(
  repo: CachedRepo,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<VerifiedRepo> {
  const faults = [...repo.faults];
  const unknown: string[] = [];
  let verified = 0;
  let bytes = 0;
  for (const { place, expected } of await expectations(repo)) {
    throwIfAborted(signal);
    if (expected === undefined) {
      unknown.push(place);
      continue;
    }
    const fault = await faultOf(place, expected);
    if (fault === undefined) verified++;
    else faults.push(fault);
    bytes += expected.size;
    onBytes(expected.size);
  }
  return { repo: repo.repo, type: repo.type, verified, bytes, unknown, faults };
}

/** Every blob, and every copy with what the commit's recorded listing says about it. */
async function expectations(repo: CachedRepo): Promise<{ place: string; expected: RepoFile | undefined }[]> {
  const wanted: { place: string; expected: RepoFile | undefined }[] = [];
  for (const [name, { place, size }] of repo.blobs) {
    const digest = digestOfHex(name);
    wanted.push({ place, expected: digest === undefined ? undefined : { path: name, size, digest } });
  }
  for (const revision of repo.revisions) {
    const copies = revision.files.filter(({ blob, size }) => blob === undefined && size > 0);
    const listing = copies.length === 0 ? undefined : await readListing(repo.folder, revision.commit);
    for (const { path, place } of copies) wanted.push({ place, expected: listing?.find((file) => file.path === path) });
  }
  return wanted;
}

async function faultOf(place: string, expected: RepoFile): Promise<string | undefined> {
  const { algorithm, hex } = expected.digest;
  try {
    return (await fileMatches(place, expected))
      ? undefined
      : `${place} has other bytes than its ${algorithm} ${hex} says`;
  } catch (cause) {
    if (cause instanceof VeneError) return cause.message;
    throw cause;
  }
}
