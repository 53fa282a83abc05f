/** What a publisher says of where the files are is looked at before the world is told. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VeneError } from "../base/errors.ts";
import type { Source } from "../spec/registry-index.ts";
import type { Release } from "../spec/registry-release.ts";
import type { Registries } from "./registries.ts";
import { openSources } from "./sources.ts";
import type { Snapshot } from "./store.ts";

/** Other sources than the registry itself have no business with it. */
const nothing: Snapshot = {
  head: "",
  notices: [],
  read: async () => undefined,
  copy: async () => false,
};

/** Fetches every file from every source. Throws `registry-missing`, `hub-integrity` and others of the hub. */
export async function checkSources(
  sources: readonly Source[],
  { files }: Release,
  { environment, signal }: Registries,
): Promise<void> {
  if (sources.length === 0) return;
  const folder = await mkdtemp(join(tmpdir(), "vene-publish-"));
  try {
    for (const { name, fetch } of openSources(sources, { snapshot: nothing, environment })) {
      for (const file of files) {
        const path = join(folder, "file");
        const handle = await open(path, "w");
        const there = await fetch(file, handle, { signal }).finally(() => handle.close());
        if (there) continue;
        throw new VeneError("registry-missing", `${name} has no ${file.path}`, {
          hint: "push the files first, and name the commit",
          details: { source: name, path: file.path },
        });
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
