/** What a lockfile has, brought onto this machine: the same bytes or an error, and no registry needed once they are here. */
import { VeneError } from "../base/errors.ts";
import type { LocateOptions } from "../hub/locate.ts";
import type { LockedRelease } from "../spec/registry-lockfile.ts";
import type { Digest } from "../spec/registry-names.ts";
import { type DirectReference, filesOf, locateDirect } from "./direct.ts";
import { IndexFile } from "./index-file.ts";
import { fetchRelease } from "./install.ts";
import { checkLocked, type LockEntry } from "./lockfile.ts";
import { parseReference } from "./reference.ts";
import { type Registries, type View, viewOf } from "./registries.ts";
import { isInstalled, keptRelease, releaseFolder } from "./releases.ts";
import { type FoundRelease, releaseOf } from "./resolve.ts";
import { select } from "./select.ts";
import { checkReleaseSignature } from "./signing-release.ts";

export interface LocatedIntervention {
  readonly folder: string;
  /** A spelling that means the same bytes for ever; undefined for the user's own folder. */
  readonly pinned: string | undefined;
  readonly notices: readonly string[];
  /** What a lockfile says of it; undefined for the user's own folder. */
  readonly entry: LockEntry | undefined;
  /** What the registry says of it, where it was asked. */
  readonly found?: FoundRelease;
}

/** Throws `registry-integrity` for other bytes than were locked, and what fetching throws. */
export async function locateLocked(
  text: string,
  entry: LockEntry,
  registries: Registries,
  options: LocateOptions,
): Promise<LocatedIntervention> {
  if ("direct" in entry) {
    const { folder, pinned, notices } = await locateDirect(
      parseReference(entry.direct) as DirectReference,
      registries,
      options,
    );
    checkLocked(text, entry, await filesOf(folder));
    return { folder, pinned, notices, entry };
  }
  const pinned = `${entry.name}@${entry.digest}`;
  const folder = releaseFolder(registries.cacheFolder, entry.digest as Digest);
  const kept = await keptRelease(registries.cacheFolder, entry.digest as Digest);
  if (kept !== undefined && (await isInstalled(folder, kept.files))) {
    checkLocked(text, entry, kept.files);
    return { folder, pinned, notices: await warningsIfReachable(entry, folder, registries, options), entry };
  }
  const found = await findLocked(entry, registries);
  checkLocked(text, entry, found.release.files);
  await fetchRelease(found, registries, options.onProgress);
  const signed = await checkReleaseSignature(folder, found, options.hub?.variables);
  return { folder, pinned, notices: [...found.notices, ...signed], entry, found };
}

/** That it was withdrawn meanwhile is worth knowing, but not worth a failure where nobody can be asked. */
async function warningsIfReachable(
  entry: LockedRelease,
  folder: string,
  registries: Registries,
  { hub }: LocateOptions,
): Promise<readonly string[]> {
  try {
    const found = await findLocked(entry, registries);
    return [...found.notices, ...(await checkReleaseSignature(folder, found, hub?.variables))];
  } catch (thrown) {
    const quiet = ["hub-offline", "hub-unreachable", "registry-missing", "file-missing"];
    if (thrown instanceof VeneError && quiet.includes(thrown.code)) return [];
    throw thrown;
  }
}

async function findLocked(entry: LockedRelease, registries: Registries): Promise<FoundRelease> {
  const view = await viewWith(entry, registries);
  const index = await IndexFile.read(view.snapshot, entry.name);
  if (index === undefined) {
    throw new VeneError("registry-missing", `${view.store.location} has no ${entry.name} any more`, {
      details: { entry },
    });
  }
  const { line, notices } = select(index, {}, { kind: "version", version: entry.version });
  if (line.digest === entry.digest) return releaseOf(view, line, notices);
  throw new VeneError(
    "registry-integrity",
    `${entry.name}@${entry.version} is ${line.digest} in ${view.store.location}; the lockfile says ${entry.digest}`,
    {
      hint: "a version never changes its bytes: tell who runs the registry before using it",
      details: { found: line.digest, expected: entry.digest },
    },
  );
}

async function viewWith({ registry, name }: LockedRelease, registries: Registries): Promise<View> {
  for (const { store } of registries.list) {
    const view = await viewOf(store, registries);
    if (view.about.id === registry) return view;
  }
  throw new VeneError("registry-missing", `${name} was locked from the registry ${registry}, which is not configured`, {
    hint: "name it with --registry or VENE_REGISTRY",
    details: { registry, configured: registries.list.map(({ store }) => store.location) },
  });
}
