import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { IntervenableModel, loadModel } from "../../src/index.ts";
import { COMMIT, HostileHub, sha256Hex } from "../support/hostile-hub.ts";
import { honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

const hub = new HostileHub();
const cacheFolder = scratch();
let env: Record<string, string>;

/** One repository that is both a model and an intervention on it: each pull takes its own part. */
beforeAll(async () => {
  for (const folder of [tiny, honest]) {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (statSync(path).isFile()) hub.put(name, readFileSync(path), name.endsWith(".safetensors"));
    }
  }
  hub.put("config.json", readFileSync(join(tiny, "config.json")));
  await hub.start();
  env = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheFolder, HOME: "/nowhere" };
});
afterAll(() => hub.stop());

describe("vene pull", () => {
  test("plans without fetching", async () => {
    const { code, out, err } = await vene(["pull", "lab/honest", "--dry-run"], { env });
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(new RegExp(`^lab/honest@${COMMIT} \\(main\\)\n\nfile +bytes  digest +state\n`));
    expect(out).toMatch(/^intervention\.safetensors +\d+ +sha256 +[0-9a-f]{64} +to pull$/m);
    expect(out).toMatch(/^\d+ bytes to pull to \S+\n$/m);
    expect(readdirSync(cacheFolder)).toEqual([]);
  });

  test("names commit, digests and folder, and the second time what was cached", async () => {
    const tensors = readFileSync(join(honest, "intervention.safetensors"));
    const { code, json } = await veneJson(["pull", "lab/honest@v1"], { env });
    expect(code).toBe(0);
    expect(json).toMatchObject({ repo: "lab/honest", revision: "v1", commit: COMMIT, dryRun: false, notices: [] });
    const file = { path: "intervention.safetensors", size: tensors.length, sha256: sha256Hex(tensors), cached: false };
    expect(json.files).toContainEqual(file);
    expect(readFileSync(join(json.folder, "intervention.safetensors")).equals(tensors)).toBe(true);
    const again = await veneJson(["pull", json.pinned, "--verify"], { env });
    expect(again.json.files.every(({ cached }: { cached: boolean }) => cached)).toBe(true);
  });

  test("of a model takes the checkpoint", async () => {
    const { json } = await veneJson(["pull", "lab/honest", "--model"], { env });
    const names = json.files.map(({ path }: { path: string }) => path);
    expect(names).toEqual(expect.arrayContaining(["config.json", "model.safetensors", "tokenizer.json"]));
    expect(names).not.toContain("intervention.safetensors");
  });

  test.each([
    [["lab/honest", "--revision", "absent"], "hub-not-found"],
    [["lab/honest@v1", "--revision", "main"], "hub-usage"],
    [["not an id"], "hub-usage"],
    [["lab/other"], "hub-not-found"],
  ])("%j fails with %s", async (argv, code) => {
    hub.instead.revision = (request, response) => {
      const status = request.url!.includes("other") ? 401 : 404;
      response.writeHead(status, { "x-error-code": status === 401 ? "RepoNotFound" : "RevisionNotFound" }).end();
    };
    const { json, ...outcome } = await veneJson(["pull", ...argv], { env });
    delete hub.instead.revision;
    expect([outcome.code, json.error.code]).toEqual([1, code]);
  });
});

describe("Hub ids in place of folders", () => {
  test("generate pulls model and intervention, then works offline with the same answer", async () => {
    const hubCache = scratch();
    const argv = ["generate", "--model", "lab/honest", "--intervention", "lab/honest@v1", "--max-new-tokens", "8"];
    const prompt = "Q: Which is larger, 27 or 7? A:";
    const online = await veneJson([...argv, prompt], { env: { ...env, HF_HUB_CACHE: hubCache } });
    expect(online.code).toBe(0);
    expect([online.json.plain.text, online.json.steered.text]).toEqual([" 7.", " 27."]);
    expect(online.json.model).toMatchObject({ name: "lab/honest", revision: COMMIT });
    expect(online.json.intervention).toMatchObject({ source: "lab/honest@v1", pinned: `lab/honest@${COMMIT}` });
    hub.seen.splice(0);
    const offline = await veneJson([...argv, prompt], { env: { ...env, HF_HUB_CACHE: hubCache, HF_HUB_OFFLINE: "1" } });
    expect(offline.json.steered.tokens).toEqual(online.json.steered.tokens);
    expect(hub.seen).toEqual([]);
  });

  test("inspect says what is in a repository", async () => {
    const { json } = await veneJson(["inspect", `lab/honest@${COMMIT}`], { env });
    expect(json).toMatchObject({ is: "artefact", name: "honest" });
  });

  test("a folder wins, and takes no revision", async () => {
    hub.seen.splice(0);
    const model = await loadModel(tiny, { hub: { variables: env } });
    expect([model.revision, model.notices, hub.seen]).toEqual([undefined, [], []]);
    await expect(IntervenableModel.load(honest, model, { revision: "main" })).rejects.toMatchObject({ code: "usage" });
    await model.release();
  });

  test("what is neither names both readings", async () => {
    await expect(loadModel("lab/none", { hub: { variables: { ...env, HF_HUB_OFFLINE: "1" } } })).rejects.toMatchObject({
      code: "hub-offline",
      message: expect.stringMatching(/^there is no lab\/none on this machine, and as an id on the Hub: lab\/none@main/),
    });
    await expect(loadModel("./lab/none")).rejects.toMatchObject({ code: "file-missing" });
  });

  test("the commit is recorded in what is saved", async () => {
    const model = await loadModel("lab/honest", { hub: { variables: env } });
    const config = {
      representations: [{ layer: 0, component: "block_output" as const, interventionType: "ZeroIntervention" }],
    };
    const target = join(scratch(), "saved");
    await new IntervenableModel(config, model).save(target);
    const { base } = JSON.parse(readFileSync(join(target, "intervention.json"), "utf8"));
    expect(base).toMatchObject({ model: "lab/honest", revision: COMMIT });
    await model.release();
  });
});
