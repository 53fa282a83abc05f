/** Reads a whole registry and says everything that is wrong with it. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { IndexLine } from "../spec/registry-index.ts";
import type { LogEntry } from "../spec/registry-log.ts";
import type { Digest } from "../spec/registry-names.ts";
import { readAliases, readRelease } from "./documents.ts";
import { IndexFile } from "./index-file.ts";
import { emptyLog, entriesBetween } from "./log.ts";
import { blobPath, shardPath } from "./names.ts";
import { configured, onlyOne, type RegistryOptions, registryOptionNames, type View, viewOf } from "./registries.ts";
import { lineOf } from "./release.ts";
import { readSearch, readShard, rowOf } from "./search-shards.ts";

export interface CheckedRegistry {
  readonly location: string;
  readonly names: number;
  readonly versions: number;
  /** Blobs that were read and have the right bytes. */
  readonly blobs: number;
  /** Each as a sentence; empty when all is well. */
  readonly faults: readonly string[];
}

/**
 * Checks the log's chain, every line against its release, every release and blob against its digest, aliases and search rows
 * against the lines. What is wrong is collected; only a registry that cannot be read at all is an error.
 */
export async function checkRegistry(options: RegistryOptions = {}): Promise<CheckedRegistry> {
  checkKeys("check's options", options, registryOptionNames, "usage");
  const registries = configured(options);
  const { store } = onlyOne(registries);
  const view = await viewOf(store, registries);
  const job: Job = { view, faults: [], seen: { versions: 0, blobs: new Set() } };
  const entries = (await tried(job, () => entriesBetween(view.snapshot, emptyLog, view.head))) ?? [];
  const rows = new Map<string, string>();
  const shards = (await tried(job, () => readSearch(view.snapshot)))?.shards ?? [];
  for (const { path } of shards) {
    for (const [name, row] of (await tried(job, () => readShard(view.snapshot, path))) ?? []) rows.set(name, row);
  }
  const published = publishedBy(entries);
  const names = new Set([...rows.keys(), ...[...published.keys()].map((ref) => ref.slice(0, ref.indexOf("@")))]);
  for (const name of [...names].sort()) await tried(job, () => checkNameOf(job, name, published, rows.get(name)));
  const { versions, blobs } = job.seen;
  return { location: store.location, names: names.size, versions, blobs: blobs.size, faults: job.faults };
}

interface Job {
  readonly view: View;
  readonly faults: string[];
  readonly seen: { versions: number; readonly blobs: Set<string> };
}

async function tried<T>({ faults }: Job, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code === "aborted") throw thrown;
    faults.push(thrown.message);
    return undefined;
  }
}

/** Digests by "namespace/name@version". */
function publishedBy(entries: readonly LogEntry[]): Map<string, string | undefined> {
  const published = entries.filter(({ op }) => op === "publish");
  return new Map(published.map(({ ref, digest }) => [ref, digest]));
}

async function checkNameOf(
  job: Job,
  name: string,
  published: ReadonlyMap<string, string | undefined>,
  row: string | undefined,
): Promise<void> {
  const { view, faults } = job;
  const index = await IndexFile.read(view.snapshot, name);
  if (index === undefined) {
    faults.push(`${name} has no file in the index`);
    return;
  }
  faults.push(...index.notices);
  for (const version of index.versions) {
    job.seen.versions++;
    const line = index.line(version)!;
    if (published.get(`${name}@${version}`) !== line.digest)
      faults.push(`${name}@${version} is not in the log as ${line.digest}`);
    await tried(job, () => checkLine(job, line));
  }
  for (const [alias, version] of Object.entries(await readAliases(view.snapshot, name))) {
    if (!index.versions.includes(version)) faults.push(`${name}@${alias} is ${version}, which does not exist`);
  }
  if (index.versions.length > 0 && row !== JSON.stringify(rowOf(index))) {
    faults.push(`the row of ${name} in ${shardPath(name)} is not what its lines say`);
  }
}

async function checkLine({ view, faults, seen }: Job, line: IndexLine): Promise<void> {
  const digest = line.digest as Digest;
  const { release, bytes } = await readRelease(view.snapshot, digest, line);
  const { sources, published, by, deprecated, yanked } = line;
  const said = lineOf({ release, bytes, digest }, { sources: [], published, by });
  const due = { ...line, ...said, sources, deprecated, yanked };
  if (JSON.stringify(sorted(due)) !== JSON.stringify(sorted(line))) {
    faults.push(`the line of ${line.name}@${line.version} says other things than its release`);
  }
  if (!sources.some(({ type }) => type === "blob")) return;
  for (const { sha256, size, path } of release.files) {
    if (seen.blobs.has(sha256)) continue;
    if (await hasBlob(view, { path: blobPath(sha256), size, sha256 })) seen.blobs.add(sha256);
    else faults.push(`${line.name}@${line.version}: there is no blob of ${path}`);
  }
}

function sorted(line: object): [string, unknown][] {
  return Object.entries(line).sort(([a], [b]) => (a < b ? -1 : 1));
}

async function hasBlob({ snapshot }: View, file: { path: string; size: number; sha256: string }): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "vene-check-"));
  try {
    const handle = await open(join(folder, "blob"), "wx");
    return await snapshot.copy(file, handle, {}).finally(() => handle.close());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
