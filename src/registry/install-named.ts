/** Installing: fetching what is named and noting in the lockfile what it was. */
import { resolve } from "node:path";
import { checkKeys } from "../base/known-keys.ts";
import type { LocateOptions } from "../hub/locate.ts";
import { filesOf } from "./direct.ts";
import { type LocateInterventionOptions, locateIntervention } from "./locate.ts";
import { lockfileName, readLockfile, writeLockfile } from "./lockfile.ts";

export type InstallOptions = LocateInterventionOptions;

const optionNames = [
  "registry",
  "cacheFolder",
  "base",
  "lockfile",
  "frozen",
  "revision",
  "hub",
  "verify",
  "signal",
  "onProgress",
] as const satisfies readonly (keyof InstallOptions | keyof LocateOptions)[];

export interface InstalledIntervention {
  /** As it was asked for. */
  readonly name: string;
  readonly pinned: string | undefined;
  /** Where the files lie. Never write into it. */
  readonly folder: string;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly notices: readonly string[];
}

/**
 * Fetches an intervention, whatever spelling names it, and notes it in the lockfile (interventions.lock.json unless told; null:
 * nowhere), which from then on decides what the spelling means. Throws as {@link locateIntervention}, and `write-failed`.
 */
export async function installIntervention(name: string, options: InstallOptions = {}): Promise<InstalledIntervention> {
  checkKeys("install's options", options, optionNames, "usage");
  const path = options.lockfile === null ? undefined : (options.lockfile ?? resolve(lockfileName));
  // A lockfile that is not there yet has nothing to say.
  const known = path === undefined || (await readLockfile(path)) === undefined ? null : path;
  const { folder, pinned, notices, entry } = await locateIntervention(name, { ...options, lockfile: known });
  if (path !== undefined && entry !== undefined && options.frozen !== true) {
    await writeLockfile(path, new Map([[name, entry]]));
  }
  return { name, pinned, folder, files: await filesOf(folder), notices };
}

/** Fetches everything that a lockfile has. Throws `file-missing` without one. */
export async function installLocked(options: InstallOptions = {}): Promise<readonly InstalledIntervention[]> {
  checkKeys("install's options", options, optionNames, "usage");
  const path = options.lockfile ?? resolve(lockfileName);
  const names = Object.keys((await readLockfile(path))?.interventions ?? {});
  const installed: InstalledIntervention[] = [];
  for (const name of names)
    installed.push(await installIntervention(name, { ...options, lockfile: path, frozen: true }));
  return installed;
}
