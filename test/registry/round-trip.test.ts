import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { setAlias } from "../../src/registry/alias.ts";
import { checkRegistry } from "../../src/registry/check.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { installIntervention } from "../../src/registry/install-named.ts";
import { resolveIntervention } from "../../src/registry/resolve.ts";
import { searchInterventions } from "../../src/registry/search.ts";
import { yankIntervention } from "../../src/registry/withdraw.ts";
import { ann, hub } from "../server/places.ts";
import { emptyRegistry, type Machine, machine, publish, scratch, serve, treeOf } from "./places.ts";

/** The same history in every registry. */
async function fill(to: Machine): Promise<void> {
  for (const version of ["1.0.0", "1.1.0", "1.2.0-beta.1"]) await publish(to, "lab/calm", version);
  await publish(to, "lab/loud", "0.1.0", { tags: ["noise"] });
  const at = "2026-11-23T07:00:00Z";
  await yankIntervention("lab/calm@1.1.0", { ...to, reason: "too calm", at });
  await setAlias("lab/calm", "old", "1.0.0", { ...to, at });
}

/** What a fresh machine sees. */
async function seenBy(from: Machine) {
  const { registry: _, ...byRange } = await resolveIntervention("lab/calm@^1", from);
  const search = await searchInterventions({ ...from, text: "CALM" });
  const alias = await resolveIntervention("lab/calm@old", from);
  const installed = await installIntervention("lab/calm@^1", { ...from, lockfile: join(scratch(), "lock.json") });
  const { registry: _id, ...rest } = search.found[0]!;
  return {
    byRange,
    search: { ...search, found: [rest] },
    alias: alias.pinned,
    installed: treeOf(installed.folder),
    pinned: installed.pinned,
  };
}

const id = "3f0e6f0c-8c1c-4d62-9c55-0f4f4f2f3a11";

describe("publish, search, resolve, install", () => {
  test("are the same on a folder, on a web server and on a Hub", async () => {
    const folder = scratch();
    await initRegistry({ ...machine(folder), name: "lab", id });
    await fill(machine(folder));
    const web = await serve(folder);
    const server = await hub();
    const env = { HF_ENDPOINT: server.url, HF_TOKEN: ann.token };
    const dataset = "hf:datasets/ann/registry";
    await initRegistry({ ...machine(dataset, env), name: "lab", id });
    await fill(machine(dataset, env));

    const onFolder = await seenBy(machine(folder));
    expect(onFolder.byRange.version).toBe("1.0.0");
    expect(onFolder.search.found.map(({ name, version }) => `${name}@${version}`)).toEqual(["lab/calm@1.0.0"]);
    expect(Object.keys(onFolder.installed)).toEqual(["README.md", "intervention.json", "intervention.safetensors"]);
    const files = Object.fromEntries(onFolder.byRange.release.files.map(({ path, sha256 }) => [path, sha256]));
    expect(onFolder.installed).toEqual(files);
    expect(await seenBy(machine(web.url))).toEqual(onFolder);
    expect(await seenBy(machine(dataset, env))).toEqual(onFolder);

    for (const registry of [machine(folder), machine(web.url), machine(dataset, env)]) {
      const { faults, versions, names, blobs } = await checkRegistry(registry);
      expect({ faults, versions, names, blobs }).toEqual({ faults: [], versions: 4, names: 2, blobs: 9 });
    }
    // The embedded Hub serves the same files to clients that only know GET, too.
    const plain = await seenBy(machine(`${server.url}/datasets/ann/registry/resolve/main`));
    expect(plain.byRange).toEqual(onFolder.byRange);
  });

  test("publishing the same twice changes nothing", async () => {
    const folder = await emptyRegistry();
    const to = machine(folder);
    const first = await publish(to, "lab/calm", "1.0.0");
    const before = treeOf(folder);
    const again = await publish(to, "lab/calm", "1.0.0");
    expect([first.changed, again.changed, again.digest]).toEqual([true, false, first.digest]);
    expect(treeOf(folder)).toEqual(before);
    expect(readFileSync(join(folder, "log/000000.jsonl"), "utf8").split("\n")).toHaveLength(3);
  });
});
