/** Which registries there are for a call, and one of them as it is now. */
import { fileURLToPath } from "node:url";
import { VeneError } from "../base/errors.ts";
import { type HubEnvironment, type HubOptions, hubEnvironment } from "../hub/environment.ts";
import { parseRepoRef } from "../hub/repo-id.ts";
import { cacheFolder } from "../runtime/cache-folder.ts";
import type { Registry } from "../spec/registry-index.ts";
import type { LogHead } from "../spec/registry-log.ts";
import { readRegistry } from "./documents.ts";
import { FolderStore } from "./folder-store.ts";
import { HubStore } from "./hub-store.ts";
import { readLogHead } from "./log.ts";
import { checkHistory } from "./memory.ts";
import { isRegistryName } from "./reference.ts";
import type { RegistryStore, Snapshot } from "./store.ts";
import { WebStore } from "./web-store.ts";

/** What every call that concerns registries accepts. */
export interface RegistryOptions {
  /**
   * Where to look, in this order: folders, "hf:datasets/org/name", "https://..." or "default" for the one that comes with vene;
   * "lab=..." gives one a name. Default: VENE_REGISTRY, a list with commas, else "default".
   */
  readonly registry?: string | readonly string[] | undefined;
  /** Where releases and what is known of registries are kept. Default: VENE_CACHE, else ~/.cache/vene. */
  readonly cacheFolder?: string | undefined;
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const registryOptionNames = ["registry", "cacheFolder", "hub", "signal"] as const;

/** A registry that was named, not yet looked at. */
export interface Configured {
  /** What the user calls it. */
  readonly name: string | undefined;
  readonly store: RegistryStore;
}

export interface Registries {
  readonly list: readonly Configured[];
  readonly cacheFolder: string;
  readonly environment: HubEnvironment;
  readonly signal: AbortSignal | undefined;
}

/** A registry at one moment. */
export interface View {
  readonly store: RegistryStore;
  readonly snapshot: Snapshot;
  readonly about: Registry;
  readonly head: LogHead;
}

/** Puts options and environment variables together; nothing is read yet. Throws `registry-usage`, `hub-usage`. */
export function configured(options: RegistryOptions): Registries {
  const variables = options.hub?.variables ?? process.env;
  const given = options.registry ?? variables["VENE_REGISTRY"]?.split(",").map((one) => one.trim());
  const texts = typeof given === "string" ? [given] : (given ?? []).filter((text) => text !== "");
  const environment = hubEnvironment(options.hub);
  const folder = options.cacheFolder ?? cacheFolder(variables as NodeJS.ProcessEnv);
  const list = (texts.length === 0 ? ["default"] : texts).map((text) => configuredAs(text, environment, folder));
  return { list, cacheFolder: folder, environment, signal: options.signal };
}

/** The single registry that is written to. Throws `registry-usage` where several are named. */
export function onlyOne(registries: Registries): Configured {
  const [one, ...others] = registries.list;
  if (one !== undefined && others.length === 0) return one;
  throw new VeneError("registry-usage", `there are ${registries.list.length} registries, and one can be written to`, {
    hint: "say which: --registry <location>",
    details: { registries: registries.list.map(({ store }) => store.location) },
  });
}

/** Reads what a registry says of itself, and holds it against what is remembered of it. */
export async function viewOf(store: RegistryStore, { cacheFolder, signal }: Registries): Promise<View> {
  const snapshot = await store.snapshot(signal);
  const about = await readRegistry(snapshot, store.location);
  const head = await readLogHead(snapshot);
  await checkHistory(cacheFolder, { location: store.location, id: about.id, head, snapshot });
  return { store, snapshot, about, head };
}

function configuredAs(text: string, environment: HubEnvironment, cacheFolder: string): Configured {
  const [, name, location] = /^(?:([a-z0-9._-]{1,64})=)?(.+)$/s.exec(text) ?? [];
  if (location === undefined || (name !== undefined && !isRegistryName(name))) {
    throw new VeneError("registry-usage", `${JSON.stringify(text)} is no registry`, {
      hint: 'write a folder, "hf:datasets/org/name" or "https://...", with "name=" in front if you like',
      details: { registry: text },
    });
  }
  return { name, store: openStore(location, environment, cacheFolder) };
}

/** The store at a location. Throws `hub-usage` for what cannot be a dataset. */
export function openStore(location: string, environment: HubEnvironment, cacheFolder: string): RegistryStore {
  if (location === "default") return new FolderStore(ownRegistry);
  if (/^https?:\/\//.test(location)) return new WebStore(location, environment, cacheFolder);
  if (location.startsWith("hf:")) {
    const { repo, revision = "main" } = parseRepoRef(location.slice(3), "dataset");
    return new HubStore(repo, revision, environment, cacheFolder);
  }
  return new FolderStore(location.startsWith("file:") ? folderOf(location) : location);
}

function folderOf(location: string): string {
  return location.startsWith("file:///") ? fileURLToPath(location) : location.slice(5);
}

/** It lies beside src/ and dist/. */
const ownRegistry = fileURLToPath(new URL("../../registry", import.meta.url));
