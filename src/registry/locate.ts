/** What a user names, as a folder on this machine: a folder, a name in a registry, a source spelled out, or an id on the Hub. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { VeneError } from "../base/errors.ts";
import { type LocateOptions, locateArtefact } from "../hub/locate.ts";
import { looksLikeRepo } from "../hub/repo-id.ts";
import type { LockedDirect, LockedRelease, Lockfile } from "../spec/registry-lockfile.ts";
import { type DirectReference, filesOf, locateDirect } from "./direct.ts";
import { fetchRelease } from "./install.ts";
import { type LocatedIntervention, locateLocked } from "./locked.ts";
import { lockedAs, lockfileName, readLockfile } from "./lockfile.ts";
import { looksLikeName, type NameReference, parseReference } from "./reference.ts";
import { configured, type Registries, type RegistryOptions } from "./registries.ts";
import { type FoundRelease, resolveName } from "./resolve.ts";
import type { BaseFilter } from "./select.ts";
import { checkReleaseSignature } from "./signing-release.ts";

export interface LocateInterventionOptions extends LocateOptions, Pick<RegistryOptions, "registry" | "cacheFolder"> {
  /** The model it is for; see ResolveOptions. */
  readonly base?: BaseFilter | undefined;
  /** Default: interventions.lock.json in the current folder, where there is one. null looks at none. */
  readonly lockfile?: string | null | undefined;
  /** Take only what the lockfile has; folders of one's own excepted. */
  readonly frozen?: boolean | undefined;
}

/**
 * Finds and fetches an intervention. An existing folder wins; then comes what the lockfile has for the text, then names in
 * registries, then ids on the Hub. "hf:", "file:", "https:", "registry:" and the name of a registry in front say which of these
 * is meant. Throws `registry-*`, `hub-*`, `file-missing`, `artefact-missing`.
 */
export async function locateIntervention(
  source: string,
  options: LocateInterventionOptions = {},
): Promise<LocatedIntervention> {
  const { registry, cacheFolder, base, lockfile, frozen, ...plain } = options;
  const own = typeof source === "string" && (await stat(source).catch(() => undefined)) !== undefined;
  if (own || options.revision !== undefined) {
    if (!own && frozen === true) throw notLocked(source, lockfile);
    return onHub(source, plain);
  }
  const registries = configured({ registry, cacheFolder, hub: plain.hub, signal: plain.signal });
  const entry = lockedAs(await lockfileFor(lockfile), source);
  if (entry !== undefined) return locateLocked(source, entry, registries, plain);
  if (frozen === true) throw notLocked(source, lockfile);
  if (typeof source === "string" && /^(hf|file|https?):/.test(source)) {
    return direct(parseReference(source) as DirectReference, registries, plain);
  }
  if (!looksLikeName(source)) return onHub(source, plain);
  const reference = parseReference(source) as NameReference;
  try {
    return await fromRegistry(await resolveName(reference, registries, base), registries, plain);
  } catch (thrown) {
    if (reference.explicit || !isUnknownName(thrown) || !source.includes("/") || !looksLikeRepo(source)) throw thrown;
    return onHub(source, plain);
  }
}

async function lockfileFor(path: string | null | undefined): Promise<Lockfile | undefined> {
  if (path === null) return undefined;
  const found = await readLockfile(path ?? resolve(lockfileName));
  if (found !== undefined || path === undefined) return found;
  throw new VeneError("file-missing", `there is no lockfile ${path}`, {
    hint: "vene install writes one",
    details: { path },
  });
}

/** That no registry knows the name, which then may be the Hub's: a version that is missing is none of the Hub's business. */
function isUnknownName(thrown: unknown): boolean {
  return thrown instanceof VeneError && thrown.code === "registry-missing" && thrown.details["unknownName"] === true;
}

async function fromRegistry(
  found: FoundRelease,
  registries: Registries,
  { hub, onProgress }: LocateOptions,
): Promise<LocatedIntervention> {
  const { folder, source } = await fetchRelease(found, registries, onProgress);
  const signed = await checkReleaseSignature(folder, found, hub?.variables);
  const notices = [...found.notices, ...signed];
  return { folder, pinned: found.pinned, notices, entry: releaseEntry(found, source), found };
}

/** As lockfiles have it; where a release comes from the cache, the place it would be fetched from. */
function releaseEntry(
  { name, version, digest, seq, release, line, registry }: FoundRelease,
  source: string,
): LockedRelease {
  const files = Object.fromEntries(release.files.map(({ path, sha256 }) => [path, sha256]));
  const from = source === "cache" ? line.sources[0]!.type : source;
  return { registry: registry.id, name, version, digest, seq, source: from, files };
}

async function direct(
  reference: DirectReference,
  registries: Registries,
  options: LocateOptions,
): Promise<LocatedIntervention> {
  const { folder, pinned, notices } = await locateDirect(reference, registries, options);
  return { folder, pinned, notices, entry: await directEntry(pinned, folder) };
}

async function directEntry(pinned: string, folder: string): Promise<LockedDirect> {
  return {
    direct: pinned,
    files: Object.fromEntries((await filesOf(folder)).map(({ path, sha256 }) => [path, sha256])),
  };
}

async function onHub(source: string, options: LocateOptions): Promise<LocatedIntervention> {
  const { folder, pulled } = await locateArtefact(source, options);
  if (pulled === undefined) return { folder, pinned: undefined, notices: [], entry: undefined };
  const entry = await directEntry(`hf:${pulled.pinned}`, folder);
  return { folder, pinned: pulled.pinned, notices: pulled.notices, entry };
}

function notLocked(source: string, lockfile: string | null | undefined): VeneError {
  const path = lockfile ?? lockfileName;
  return new VeneError("registry-usage", `${source} is not in ${path}, and nothing else may be used (frozen)`, {
    hint: `add it: vene install ${source}`,
    details: { source, lockfile: path },
  });
}
