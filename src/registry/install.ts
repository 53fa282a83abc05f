/** Brings a release onto this machine: every file verified while it is written, from the first source that has them all. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import type { Sha256 } from "../base/brands.ts";
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import type { Release } from "../spec/registry-release.ts";
import { checkContent } from "./bundle-content.ts";
import type { Registries } from "./registries.ts";
import { isInstalled, keepRelease, placeRelease, releaseFolder } from "./releases.ts";
import type { FoundRelease } from "./resolve.ts";
import { type OpenedSource, openSources } from "./sources.ts";

export interface Fetched {
  readonly folder: string;
  /** What it came from; "cache" where it was there. */
  readonly source: string;
}

/**
 * The folder of a release, fetched if need be. Throws `registry-missing` where no source has it, `registry-integrity` where one
 * has other bytes and none the right ones, `write-failed`, `aborted`.
 */
export async function fetchRelease(
  found: FoundRelease,
  registries: Registries,
  onProgress?: ProgressListener,
): Promise<Fetched> {
  const { digest, release, bytes, line, view } = found;
  const folder = releaseFolder(registries.cacheFolder, digest);
  if (await isInstalled(folder, release.files)) {
    await keepRelease(registries.cacheFolder, digest, bytes);
    return { folder, source: "cache" };
  }
  const { environment, signal } = registries;
  const failures: Failure[] = [];
  for (const source of openSources(line.sources, { snapshot: view.snapshot, environment })) {
    try {
      await placeRelease(folder, release.files, (staging) => fill(staging, release, source, { signal, onProgress }));
      await keepRelease(registries.cacheFolder, digest, bytes);
      return { folder, source: source.name };
    } catch (thrown) {
      if (!(thrown instanceof VeneError) || !anotherMayDo.has(thrown.code)) throw thrown;
      failures.push({ source: source.name, thrown });
    }
  }
  throw noSource(found, failures);
}

/** Reasons for which the next source is tried: gone, private, unreachable, damaged. */
const anotherMayDo: ReadonlySet<string> = new Set([
  "registry-missing",
  "registry-integrity",
  "hub-not-found",
  "hub-unauthorized",
  "hub-unreachable",
  "hub-rejected",
  "hub-integrity",
  "hub-offline",
  "hub-usage",
]);

interface Failure {
  readonly source: string;
  readonly thrown: VeneError;
}

async function fill(
  staging: string,
  { name, version, files }: Release,
  source: OpenedSource,
  { signal, onProgress }: { signal: AbortSignal | undefined; onProgress: ProgressListener | undefined },
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    onProgress?.({ phase: `installing ${name}@${version}`, done, total, unit: "bytes" });
  };
  for (const file of files) {
    throwIfAborted(signal);
    const handle = await open(join(staging, file.path), "wx");
    try {
      if (!(await source.fetch(file, handle, { signal, onBytes }))) {
        throw new VeneError("registry-missing", `${source.name} has no ${file.path}`);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  const digests = files.map(({ path, size, sha256 }) => ({ name: path, size, sha256: sha256 as Sha256 }));
  await checkContent(staging, digests);
}

function noSource({ name, version, digest }: FoundRelease, failures: readonly Failure[]): VeneError {
  const tried = failures.map(({ source, thrown }) => `${source}: ${thrown.message}`);
  const damaged = failures.some(({ thrown }) => /-integrity$/.test(thrown.code));
  const offline = failures.length > 0 && failures.every(({ thrown }) => thrown.code === "hub-offline");
  const code = damaged ? "registry-integrity" : offline ? "hub-offline" : "registry-missing";
  const why = tried.length === 0 ? "it names none that this vene knows" : tried.join("; ");
  return new VeneError(code, `no source has ${name}@${version}: ${why}`, {
    hint: offline
      ? "install it once while there is a network"
      : "its publisher or whoever runs the registry can mend that",
    details: { name, version, digest, sources: failures.map(({ source, thrown }) => ({ source, code: thrown.code })) },
    cause: failures.at(-1)?.thrown,
  });
}
