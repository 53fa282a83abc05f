/** From a name to one release: which registry answers, and which of its versions is meant. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { IndexLine } from "../spec/registry-index.ts";
import type { Digest } from "../spec/registry-names.ts";
import type { Release } from "../spec/registry-release.ts";
import { readAliases, readRelease } from "./documents.ts";
import { IndexFile } from "./index-file.ts";
import { bindNamespace, namespacePath, ownerOf } from "./memory.ts";
import { type NameReference, parseReference } from "./reference.ts";
import {
  type Configured,
  configured,
  type Registries,
  type RegistryOptions,
  registryOptionNames,
  type View,
  viewOf,
} from "./registries.ts";
import { type BaseFilter, select } from "./select.ts";

export interface ResolveOptions extends RegistryOptions {
  /** The model it is wanted for: another base is an error that names the versions that would fit. */
  readonly base?: BaseFilter | undefined;
}

export const resolveOptionNames = ["base", ...registryOptionNames] as const;

/** One release, with everything that the registry says of it. */
export interface ResolvedRelease {
  readonly name: string;
  readonly version: string;
  /** Of the release manifest: names every byte. */
  readonly digest: Digest;
  /** "namespace/name@sha256:...": the same bytes for ever. */
  readonly pinned: string;
  readonly registry: { readonly id: string; readonly name: string; readonly location: string };
  /** Entries of the registry's log at that moment. */
  readonly seq: number;
  readonly release: Release;
  readonly line: IndexLine;
  readonly notices: readonly string[];
}

/** With where it was found, for fetching. */
export interface FoundRelease extends ResolvedRelease {
  readonly view: View;
  /** Exact bytes of the release manifest. */
  readonly bytes: Uint8Array;
}

/**
 * Says which release "[registry:][namespace/]name[@selector]" is. Throws `registry-missing`, `registry-yanked`,
 * `registry-mismatch`, `registry-integrity`, `registry-invalid`, `registry-usage` and what reading the registry throws.
 */
export async function resolveIntervention(text: string, options: ResolveOptions = {}): Promise<ResolvedRelease> {
  checkKeys("resolve's options", options, resolveOptionNames, "usage");
  const reference = parseReference(text);
  if (reference.form !== "name") {
    throw new VeneError("registry-usage", `${text} is no name in a registry`, { details: { text } });
  }
  const { view: _view, bytes: _bytes, ...resolved } = await resolveName(reference, configured(options), options.base);
  return resolved;
}

export async function resolveName(
  reference: NameReference,
  registries: Registries,
  base: BaseFilter = {},
): Promise<FoundRelease> {
  const found = await findName(reference, registries);
  // Aliases were read before the index, so every version they name is in it.
  const { view, index, aliases } = found;
  const { line, notices } = select(index, aliases, reference.selector, base);
  return releaseOf(view, line, notices);
}

/** The release of a line, read and checked. */
export async function releaseOf(view: View, line: IndexLine, notices: readonly string[]): Promise<FoundRelease> {
  const { name, version } = line;
  const digest = line.digest as Digest;
  const { release, bytes } = await readRelease(view.snapshot, digest, line);
  const { id, name: registryName } = view.about;
  return {
    name,
    version,
    digest,
    pinned: `${name}@${digest}`,
    registry: { id, name: registryName, location: view.store.location },
    seq: view.head.seq,
    release,
    line,
    notices: [...view.snapshot.notices, ...notices],
    view,
    bytes,
  };
}

interface FoundName {
  readonly view: View;
  readonly index: IndexFile;
  readonly aliases: Readonly<Record<string, string>>;
}

/** The first registry that has the name; a namespace that belongs to one registry is looked up nowhere else. */
async function findName(reference: NameReference, registries: Registries): Promise<FoundName> {
  const asked: string[] = [];
  for (const one of registries.list) {
    const view = await viewIfMeant(one, reference, registries);
    if (view === undefined) continue;
    asked.push(view.store.location);
    const name = fullName(reference, view);
    const found = name === undefined ? undefined : await lookUp(view, name);
    if (found === undefined) continue;
    await checkOwner(reference, found, registries);
    return found;
  }
  const where = asked.length === 0 ? `no registry called ${reference.registry} is configured` : asked.join(", ");
  throw new VeneError("registry-missing", asked.length === 0 ? where : `there is no ${reference.name} in ${where}`, {
    hint: "look for it: vene search",
    details: { name: reference.name, registries: asked, unknownName: true },
  });
}

async function viewIfMeant(
  one: Configured,
  { registry }: NameReference,
  registries: Registries,
): Promise<View | undefined> {
  if (registry !== undefined && one.name !== undefined && one.name !== registry) return undefined;
  const view = await viewOf(one.store, registries);
  return registry === undefined || registry === (one.name ?? view.about.name) ? view : undefined;
}

function fullName({ name }: NameReference, { about }: View): string | undefined {
  if (name.includes("/")) return name;
  return about.namespace === undefined ? undefined : `${about.namespace}/${name}`;
}

async function lookUp(view: View, name: string): Promise<FoundName | undefined> {
  const aliases = await readAliases(view.snapshot, name);
  const index = await IndexFile.read(view.snapshot, name);
  return index === undefined ? undefined : { view, index, aliases };
}

/** Who names the registry, or has but one, means it; otherwise the first registry seen with a namespace keeps it. */
async function checkOwner(
  reference: NameReference,
  { view, index }: FoundName,
  { cacheFolder, list }: Registries,
): Promise<void> {
  const namespace = index.name.slice(0, index.name.indexOf("/"));
  const { id, name } = view.about;
  const owner = await ownerOf(cacheFolder, namespace);
  if (owner === undefined) await bindNamespace(cacheFolder, namespace, id);
  if (owner === undefined || owner === id || reference.registry !== undefined || list.length === 1) return;
  throw new VeneError(
    "registry-integrity",
    `${index.name} is in ${view.store.location}, but ${namespace}/ belongs to the registry ${owner} on this machine`,
    {
      hint: `write ${name}:${index.name} if that one is meant, or delete ${namespacePath(cacheFolder, namespace)}`,
      details: { name: index.name, found: id, expected: owner },
    },
  );
}
