/** In which order a name is looked up, what lockfiles decide, and what works without a network. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { installIntervention, installLocked } from "../../src/registry/install-named.ts";
import { IntervenableModel } from "../../src/registry/intervenable-model.ts";
import { locateIntervention } from "../../src/registry/locate.ts";
import { publishIntervention } from "../../src/registry/publish.ts";
import { resolveIntervention } from "../../src/registry/resolve.ts";
import { yankIntervention } from "../../src/registry/withdraw.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { pushArtefact } from "../../src/runtime/push-artefact.ts";
import { ann, hub } from "../server/places.ts";
import { artefact, emptyRegistry, honest, machine, publish, scratch, serve, treeOf } from "./places.ts";

const tiny = join(honest, "..");
let model: Model;
beforeAll(async () => {
  model = await loadModel(tiny, { cacheFolder: scratch() });
});
afterAll(() => model.release());

/** A registry with lab/calm, and a Hub with ann/calm and lab-like names that the registry does not have. */
async function world() {
  const registry = await emptyRegistry("lab", "lab");
  for (const version of ["1.0.0", "1.1.0"]) await publish(machine(registry), "lab/calm", version);
  const server = await hub();
  const env = { HF_ENDPOINT: server.url, HF_TOKEN: ann.token, HF_HUB_CACHE: scratch() };
  const folder = await artefact({ summary: "on the Hub" });
  const { commit } = await pushArtefact(folder, "ann/calm", { hub: { variables: { HOME: "/nowhere", ...env } } });
  return { registry, env, commit, from: { ...machine(registry, env), lockfile: null } };
}

describe("what a text means", () => {
  test("a folder, then a registry's name, then the Hub's; prefixes decide", async () => {
    const { from, commit } = await world();
    const folder = await artefact({ summary: "mine" });
    const own = await locateIntervention(folder, from);
    expect([own.folder, own.pinned, own.entry]).toEqual([folder, undefined, undefined]);
    const named = await locateIntervention("lab/calm@^1", from);
    expect(named.pinned).toMatch(/^lab\/calm@sha256:/);
    expect((await locateIntervention("calm", from)).pinned).toBe(named.pinned);
    expect((await locateIntervention("ann/calm", from)).pinned).toBe(`ann/calm@${commit}`);
    expect((await locateIntervention(`hf:ann/calm@${commit}`, from)).pinned).toBe(`hf:ann/calm@${commit}`);
    expect((await locateIntervention("ann/calm", { ...from, revision: "main" })).pinned).toBe(`ann/calm@${commit}`);
    expect((await locateIntervention(`file:${folder}`, from)).folder).toBe(folder);
    expect((await locateIntervention("registry:lab/calm", from)).pinned).toBe(named.pinned);
    expect((await locateIntervention("lab:lab/calm@1.0.0", from)).pinned).not.toBe(named.pinned);
  });

  test.each([
    ["registry:ann/calm", "registry-missing"],
    ["lab/calm@9.9.9", "registry-missing"],
    ["lab/calm@stable", "registry-missing"],
    ["nothing", "registry-missing"],
    ["ann/none", "hub-not-found"],
    ["file:/nowhere/at/all", "file-missing"],
    ["hf:ann/calm#absent", "artefact-missing"],
    ["not an id", "file-missing"],
  ])("%s fails with %s", async (text, code) => {
    const { from } = await world();
    await expect(locateIntervention(text, from)).rejects.toMatchObject({ code });
  });

  test("a registry that cannot be asked does not hand its names to the Hub", async () => {
    const { from } = await world();
    const unreachable = { ...from, registry: "http://127.0.0.1:9", cacheFolder: scratch() };
    await expect(locateIntervention("ann/calm", unreachable)).rejects.toMatchObject({ code: "hub-unreachable" });
    expect((await locateIntervention("hf:ann/calm", unreachable)).pinned).toMatch(/^hf:ann\/calm@/);
  });

  test("a bundle on a web server needs its digest", async () => {
    const folder = scratch();
    const { sha256 } = await packBundle(await artefact({ summary: "packed" }), join(folder, "calm.tgz"));
    const web = await serve(folder);
    const from = { ...machine([]), lockfile: null };
    const text = `${web.url}/calm.tgz#sha256:${sha256}`;
    const { folder: unpacked, pinned } = await locateIntervention(text, from);
    expect(pinned).toBe(text);
    expect(readFileSync(join(unpacked, "intervention.json"), "utf8")).toContain('"summary": "packed"');
    web.stop();
    expect((await locateIntervention(text, from)).folder).toBe(unpacked);
    await expect(locateIntervention(`${web.url}/calm.tgz`, from)).rejects.toMatchObject({ code: "registry-usage" });
    const again = await serve(folder);
    const wrong = `${again.url}/calm.tgz#sha256:${"0".repeat(64)}`;
    await expect(locateIntervention(wrong, from)).rejects.toMatchObject({ code: "hub-integrity" });
    await expect(locateIntervention(text.replace("calm.tgz", "none.tgz"), machine([]))).rejects.toMatchObject({
      code: "hub-unreachable",
    });
    const gone = `${again.url}/none.tgz#sha256:${sha256}`;
    await expect(locateIntervention(gone, { ...machine([]), lockfile: null })).rejects.toMatchObject({
      code: "registry-missing",
    });
  });
});

describe("lockfiles", () => {
  test("hold a range to what it was, through new versions and withdrawals", async () => {
    const { registry, from } = await world();
    const lockfile = join(scratch(), "interventions.lock.json");
    const first = await installIntervention("calm@^1", { ...from, lockfile });
    const text = readFileSync(lockfile, "utf8");
    expect(JSON.parse(text).interventions["calm@^1"]).toMatchObject({
      name: "lab/calm",
      version: "1.1.0",
      source: "blob",
    });
    await publish(machine(registry), "lab/calm", "1.2.0");
    await yankIntervention("lab/calm@1.1.0", { ...machine(registry), reason: "sings" });
    const again = await installIntervention("calm@^1", { ...from, lockfile });
    expect([again.pinned, again.notices]).toEqual([first.pinned, ["lab/calm@1.1.0 was withdrawn: sings (broken)"]]);
    expect(readFileSync(lockfile, "utf8")).toBe(text);
    expect((await resolveIntervention("calm@^1", { registry, cacheFolder: scratch() })).version).toBe("1.2.0");
    // On another machine, too, which has nothing yet.
    const fresh = { ...from, cacheFolder: scratch(), lockfile, frozen: true };
    expect((await installLocked(fresh)).map(({ pinned }) => pinned)).toEqual([first.pinned]);
  });

  test("frozen refuses everything else, folders of one's own excepted", async () => {
    const { from } = await world();
    const lockfile = join(scratch(), "lock.json");
    await installIntervention("ann/calm", { ...from, lockfile });
    await installIntervention("hf:ann/calm", { ...from, lockfile });
    const frozen = { ...from, lockfile, frozen: true };
    const entries = JSON.parse(readFileSync(lockfile, "utf8")).interventions;
    expect(entries["ann/calm"].direct).toMatch(/^hf:ann\/calm@[0-9a-f]{40}$/);
    expect((await locateIntervention("ann/calm", frozen)).pinned).toBe(entries["ann/calm"].direct);
    expect((await locateIntervention(honest, frozen)).folder).toBe(honest);
    for (const text of ["calm", "calm@^1", "lab/calm@1.0.0", "ann/none", `file:${honest}`]) {
      await expect(locateIntervention(text, frozen)).rejects.toMatchObject({ code: "registry-usage" });
    }
    await expect(locateIntervention("ann/calm", { ...frozen, revision: "main" })).rejects.toMatchObject({
      code: "registry-usage",
    });
    await expect(locateIntervention("calm", { ...from, lockfile: join(scratch(), "none.json") })).rejects.toMatchObject(
      {
        code: "file-missing",
      },
    );
  });

  test("that were changed, or whose files were, are refused", async () => {
    const { from } = await world();
    const lockfile = join(scratch(), "lock.json");
    const { folder } = await installIntervention("calm", { ...from, lockfile });
    const text = readFileSync(lockfile, "utf8");
    const sha256 = /"intervention.json": "([0-9a-f]{64})"/.exec(text)![1]!;
    writeFileSync(lockfile, text.replace(sha256, "0".repeat(64)));
    await expect(locateIntervention("calm", { ...from, lockfile })).rejects.toMatchObject({
      code: "registry-integrity",
    });
    for (const damaged of [
      "{}",
      '{"lockfile":2,"interventions":{}}',
      "<<<<<<<",
      '{"lockfile":1,"interventions":{"a":{}}}',
    ]) {
      writeFileSync(lockfile, damaged);
      await expect(locateIntervention("calm", { ...from, lockfile })).rejects.toMatchObject({
        code: "registry-invalid",
      });
    }
    // A damaged cache is mended.
    writeFileSync(lockfile, text);
    writeFileSync(join(folder, "intervention.json"), "{}");
    await locateIntervention("calm", { ...from, lockfile });
    expect(treeOf(folder)["intervention.json"]).toBe(sha256);
  });

  test("an entry from a registry that is not configured says so", async () => {
    const { from } = await world();
    const lockfile = join(scratch(), "lock.json");
    await installIntervention("calm", { ...from, lockfile });
    const other = { ...from, lockfile, registry: await emptyRegistry("other") };
    expect((await locateIntervention("calm", other)).pinned).toMatch(/^lab\/calm@/);
    await expect(locateIntervention("calm", { ...other, cacheFolder: scratch() })).rejects.toMatchObject({
      code: "registry-missing",
    });
  });
});

describe("without a network", () => {
  test("what was read and installed before still works, and names that were never asked for say why not", async () => {
    const { registry, env } = await world();
    const web = await serve(registry);
    const from = { ...machine(web.url, env), lockfile: null };
    const online = await locateIntervention("lab/calm@^1", from);
    await expect(locateIntervention("lab/none", from)).rejects.toMatchObject({ code: "hub-not-found" });
    const asked = web.seen.length;
    const offline = { ...from, hub: { ...from.hub, offline: true } };
    expect((await locateIntervention("lab/calm@^1", offline)).pinned).toBe(online.pinned);
    expect(web.seen.length).toBe(asked);
    await expect(locateIntervention("lab/calm@1.0.0", offline)).rejects.toMatchObject({ code: "hub-offline" });
    const { lockfile: _, ...asking } = offline;
    await expect(resolveIntervention("lab/other", asking)).rejects.toMatchObject({ code: "hub-offline" });
    await expect(resolveIntervention("lab/none", asking)).rejects.toMatchObject({ code: "registry-missing" });
    web.stop();
    const gone = await locateIntervention("lab/calm@^1", from);
    expect([gone.pinned, gone.notices]).toEqual([
      online.pinned,
      [`${web.url} did not answer: going by what it last said`],
    ]);
  });

  test("a web server is asked for what changed, and only sends that", async () => {
    const registry = await emptyRegistry("lab", "lab");
    await publish(machine(registry), "lab/calm", "1.0.0");
    const web = await serve(registry);
    const from = machine(web.url);
    await resolveIntervention("calm", from);
    const first = web.seen.splice(0).map(({ status }) => status);
    expect(first).toEqual([200, 200, 200, 200, 200]);
    await resolveIntervention("calm", from);
    // The release is known by its digest: it is not even asked for.
    expect(web.seen.splice(0).map(({ status }) => status)).toEqual([304, 304, 304, 304]);
  });
});

describe("IntervenableModel.load", () => {
  test("by name gives the same tokens as the folder, locked", async () => {
    const registry = await emptyRegistry("lab", "lab");
    await publishIntervention(honest, { ...machine(registry), name: "lab/honest", version: "1.0.0" });
    const lockfile = join(scratch(), "lock.json");
    const from = { ...machine(registry), lockfile };
    await installIntervention("honest@^1", from);
    const named = await IntervenableModel.load("honest@^1", model, { ...from, frozen: true });
    const own = await IntervenableModel.load(honest, model);
    expect(named).toBeInstanceOf(IntervenableModel);
    expect(named.pinned).toMatch(/^lab\/honest@sha256:[0-9a-f]{64}$/);
    expect(own.pinned).toBeUndefined();
    const prompt = "Q: Which is larger, 27 or 7? A:";
    const [a, b] = [await named.generate(prompt, { maxNewTokens: 8 }), await own.generate(prompt, { maxNewTokens: 8 })];
    expect(a.tokens).toEqual(b.tokens);
    expect(a.text).toBe(" 27.");
  });

  test("asks for a version that fits the model", async () => {
    const registry = await emptyRegistry("lab", "lab");
    const to = { ...machine(registry), name: "lab/honest" };
    await publishIntervention(honest, { ...to, version: "1.0.0" });
    await publishIntervention(await artefact({ base: { layers: 12 } }), { ...to, version: "2.0.0" });
    const from = { ...machine(registry), lockfile: null };
    await expect(IntervenableModel.load("honest", model, from)).rejects.toMatchObject({
      code: "registry-mismatch",
      hint: "these versions fit: 1.0.0",
    });
    expect((await IntervenableModel.load("honest@^1", model, from)).pinned).toMatch(/^lab\/honest@/);
  });
});

test("concurrent installs end with one whole folder, a read-only cache is used as it is", async () => {
  const registry = await emptyRegistry("lab", "lab");
  await publish(machine(registry), "lab/calm", "1.0.0");
  const from = { ...machine(registry), lockfile: null };
  const all = await Promise.all(Array.from({ length: 6 }, () => installIntervention("calm", from)));
  expect(new Set(all.map(({ folder }) => folder)).size).toBe(1);
  expect(Object.keys(treeOf(join(all[0]!.folder, "..")))).toHaveLength(4);
  rmSync(join(registry, "blobs"), { recursive: true });
  mkdirSync(join(registry, "blobs"));
  expect((await installIntervention("calm", from)).folder).toBe(all[0]!.folder);
  expect(existsSync(all[0]!.folder)).toBe(true);
});
