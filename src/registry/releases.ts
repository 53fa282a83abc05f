/** Releases on this machine: folders named by the release's digest, whole and verified or not there. */
import { randomBytes } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, writeFileAtomic } from "../base/atomic.ts";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import type { Digest } from "../spec/registry-names.ts";
import type { Release, ReleaseFile } from "../spec/registry-release.ts";
import { MAX_RELEASE_BYTES, parseRelease } from "./documents.ts";

/** Files up to this size are hashed again whenever they are used; it takes milliseconds. */
const SMALL_BYTES = 16 << 20;

export function releaseFolder(cacheFolder: string, digest: Digest): string {
  return join(cacheFolder, "registry", "releases", digest.slice(7));
}

/** The release manifest as it was installed; undefined where it was not. */
export async function keptRelease(cacheFolder: string, digest: Digest): Promise<Release | undefined> {
  try {
    const bytes = await readSmallFile(`${releaseFolder(cacheFolder, digest)}.json`, MAX_RELEASE_BYTES);
    return parseRelease(bytes, digest);
  } catch (thrown) {
    // What is damaged is fetched again.
    if (thrown instanceof VeneError) return undefined;
    throw thrown;
  }
}

/**
 * Puts a folder that `fill` writes where a release belongs. Others may be at the same: who comes second leaves what is there, so
 * that it never vanishes under somebody who reads it; only damaged folders are replaced. Throws `write-failed`.
 */
export async function placeRelease(
  folder: string,
  files: readonly ReleaseFile[],
  fill: (staging: string) => Promise<void>,
): Promise<void> {
  const staging = `${folder}.${randomBytes(4).toString("hex")}.partial`;
  try {
    await makeFolder(staging);
    await fill(staging);
    if (!(await renamed(staging, folder)) && !(await isInstalled(folder, files))) {
      await rename(folder, `${staging}.old`);
      await renamed(staging, folder);
    }
  } catch (cause) {
    if (cause instanceof VeneError) throw cause;
    throw new VeneError("write-failed", `cannot write ${folder}: ${messageOf(cause)}`, {
      hint: "check that VENE_CACHE is writable and has space",
      details: { path: folder, system: systemCodeOf(cause) },
      cause,
    });
  } finally {
    for (const path of [staging, `${staging}.old`]) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

/** False where something is there already. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    if (["ENOTEMPTY", "EEXIST", "ENOTDIR", "EPERM"].includes(systemCodeOf(cause) ?? "")) return false;
    throw cause;
  }
}

export async function keepRelease(cacheFolder: string, digest: Digest, bytes: Uint8Array): Promise<void> {
  await writeFileAtomic(`${releaseFolder(cacheFolder, digest)}.json`, bytes);
}

/** Whether a folder has every file of a release as it should be. */
export async function isInstalled(folder: string, files: readonly ReleaseFile[]): Promise<boolean> {
  for (const file of files) {
    if (!(await isGood(join(folder, file.path), file))) return false;
  }
  return true;
}

async function isGood(path: string, { size, sha256 }: ReleaseFile): Promise<boolean> {
  try {
    if ((await withFile(path, async (source) => source.size)) !== size) return false;
    return size > SMALL_BYTES || (await sha256OfFile(path)) === sha256;
  } catch (thrown) {
    if (thrown instanceof VeneError) return false;
    throw thrown;
  }
}
