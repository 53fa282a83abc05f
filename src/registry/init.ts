/** Makes an empty registry: in a folder, or in a dataset repository on a Hub. */
import { randomUUID } from "node:crypto";
import { makeFolder } from "../base/atomic.ts";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { type Registry, registrySchema } from "../spec/registry-index.ts";
import { namespaceSchema } from "../spec/registry-names.ts";
import { documentBytes, parseDocument } from "./documents.ts";
import { FolderStore } from "./folder-store.ts";
import { HubStore } from "./hub-store.ts";
import { forgetHistory } from "./memory.ts";
import { registryPath } from "./names.ts";
import { isRegistryName } from "./reference.ts";
import { configured, onlyOne, type RegistryOptions, registryOptionNames } from "./registries.ts";

export interface InitOptions extends RegistryOptions {
  /** What it is called in front of a colon. */
  readonly name: string;
  /** Where names without a namespace are looked up. */
  readonly namespace?: string | undefined;
  /** UUID, for registries that are built from a recipe. Default: a random one. */
  readonly id?: string | undefined;
}

/** Throws `registry-conflict` where there is a registry already, `registry-usage`, and what writing throws. */
export async function initRegistry(options: InitOptions): Promise<Registry> {
  checkKeys("init's options", options, ["name", "namespace", "id", ...registryOptionNames], "usage");
  const { name, namespace, id = randomUUID(), registry, cacheFolder, hub, signal } = options;
  if (!isRegistryName(name) || (namespace !== undefined && !namespaceSchema.safeParse(namespace).success)) {
    throw new VeneError(
      "registry-usage",
      `a registry cannot be called ${JSON.stringify(name)}, or that namespace cannot be`,
      {
        hint: "names are of a-z, 0-9, single dots, dashes and underscores",
        details: { name, namespace },
      },
    );
  }
  const content = { registry: 1, id, name, ...(namespace === undefined ? {} : { namespace }) };
  const bytes = documentBytes(content);
  const about = parseDocument(registrySchema, bytes, "the new registry");
  const registries = configured({ registry, cacheFolder, hub, signal });
  const { store } = onlyOne(registries);
  let head = "";
  if (store instanceof FolderStore) await makeFolder(store.location);
  if (store instanceof HubStore) head = await store.open(signal);
  const snapshot = store instanceof HubStore && head === "" ? undefined : await store.snapshot(signal).catch(absent);
  if ((await snapshot?.read(registryPath, 1 << 20)) !== undefined) {
    throw new VeneError("registry-conflict", `there is a registry at ${store.location} already`, {
      hint: "publish to it, or choose another place",
      details: { location: store.location },
    });
  }
  const files = new Map([[registryPath, bytes]]);
  if (store instanceof FolderStore) {
    // git must not touch line ends: everything is known by its bytes.
    files.set(".gitattributes", Buffer.from("* -text\n")).set(".gitignore", Buffer.from(".registry-*\n"));
  }
  await store.commit({ head, files, message: `Make the registry ${name}`, signal });
  await forgetHistory(registries.cacheFolder, store.location);
  return about;
}

/** A repository without files has no registry.json to ask for. */
function absent(thrown: unknown): undefined {
  if (thrown instanceof VeneError && thrown.code === "hub-not-found") return undefined;
  throw thrown;
}
