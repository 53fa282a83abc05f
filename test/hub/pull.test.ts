/** Pulling from an honest Hub: which files, where they lie, what is asked, and what a second pull costs. */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { ProgressEvent } from "../../src/base/progress.ts";
import { modelSelection } from "../../src/hub/selection.ts";
import { COMMIT, gitId, honest, sendJson, sha256Hex } from "../support/hostile-hub.ts";
import { noise, PullBench } from "../support/hub-cache.ts";

let bench: PullBench;
beforeEach(async () => {
  bench = await PullBench.start();
});
afterEach(() => bench.stop());

describe("a pull", () => {
  test("reports the commit and lays files out as Python does", async () => {
    const events: ProgressEvent[] = [];
    const pulled = await bench.pull({ onProgress: (event) => events.push(event) });
    expect(pulled).toMatchObject({
      repo: "lab/honest",
      revision: "main",
      commit: COMMIT,
      pinned: `lab/honest@${COMMIT}`,
    });
    expect(pulled.folder).toBe(join(bench.folder, "snapshots", COMMIT));
    const tensors = sha256Hex(noise(300_000));
    const manifest = gitId(Buffer.from('{"format":1}'));
    expect(bench.kept).toEqual(
      [
        `blobs/${gitId(Buffer.from("# honest\n"))}`,
        `blobs/${manifest}`,
        `blobs/${tensors}`,
        "refs/main",
        `snapshots/${COMMIT}/README.md`,
        `snapshots/${COMMIT}/intervention.json`,
        `snapshots/${COMMIT}/intervention.safetensors`,
        `trees/${COMMIT}.json`,
      ]
        .map((path) => `models--lab--honest/${path}`)
        .sort(),
    );
    expect(readlinkSync(join(pulled.folder, "intervention.json"))).toBe(`../../blobs/${manifest}`);
    expect(readFileSync(join(bench.folder, "refs/main"), "utf8")).toBe(COMMIT);
    expect(readFileSync(join(pulled.folder, "intervention.safetensors")).equals(noise(300_000))).toBe(true);
    const tree = JSON.parse(readFileSync(join(bench.folder, `trees/${COMMIT}.json`), "utf8"));
    expect(tree.format_version).toBe(1);
    expect(tree.files["intervention.safetensors"]).toEqual({
      size: 300_000,
      blob_id: bench.hub.entry("intervention.safetensors")["oid"],
      lfs_sha256: tensors,
      lfs_size: 300_000,
    });
    const total = 300_000 + 12 + 9;
    expect(events[0]).toEqual({ phase: "pulling lab/honest", done: 0, total, unit: "bytes" });
    expect(events.at(-1)).toEqual({ phase: "pulling lab/honest", done: total, total, unit: "bytes" });
  });

  test("takes an artefact's files and no others", async () => {
    for (const path of [".env", "config.json", "intkey_layer_1#0.bin", "pytorch_model.bin", "data/x.json", "evil.py"]) {
      bench.hub.put(path, "x");
    }
    const names = async () => (await bench.pull()).files.map(({ path }) => path).sort();
    expect(await names()).toEqual(["README.md", "config.json", "intervention.json", "intervention.safetensors"]);
    bench.hub.files.delete("intervention.json");
    bench.hub.commit = "f".repeat(40);
    expect(await names()).toEqual(["README.md", "config.json", "intkey_layer_1#0.bin"]);
    bench.hub.files.delete("config.json");
    bench.hub.commit = "e".repeat(40);
    await expect(names()).rejects.toMatchObject({ code: "artefact-missing" });
  });

  test("of a model takes config, tokenizer and one format of weights", async () => {
    const pull = () => bench.pull({}, {}, modelSelection);
    await expect(pull()).rejects.toMatchObject({ code: "checkpoint-invalid" });
    for (const path of ["config.json", "tokenizer.json", "pytorch_model.bin", "modeling.py"]) bench.hub.put(path, path);
    await expect(pull()).rejects.toMatchObject({ code: "weights-missing" });
    bench.hub.put("model.safetensors", "weights", true);
    bench.hub.put("onnx/model.onnx", "x", true);
    const names = async () => (await pull()).files.map(({ path }) => path).sort();
    expect(await names()).toEqual(["README.md", "config.json", "model.safetensors", "tokenizer.json"]);
    bench.hub.put("model.safetensors.index.json", "{}");
    bench.hub.put("model-00001-of-00001.safetensors", "shard", true);
    bench.hub.commit = "f".repeat(40);
    expect(await names()).toEqual([
      "README.md",
      "config.json",
      "model-00001-of-00001.safetensors",
      "model.safetensors.index.json",
      "tokenizer.json",
    ]);
  });

  test("asks only for what is new, and for nothing where the commit is known", async () => {
    await bench.pull();
    bench.hub.seen.splice(0);
    expect((await bench.pull()).files.every(({ cached }) => cached)).toBe(true);
    expect(bench.hub.seen.map(({ line }) => line)).toEqual(["GET /api/models/lab/honest/revision/main"]);
    await bench.pull({ revision: COMMIT });
    expect(bench.hub.seen.length).toBe(1);
    bench.hub.commit = "f".repeat(40);
    bench.hub.put("README.md", "# new\n");
    const second = await bench.pull();
    expect(bench.hub.fetched).toEqual([`GET /lab/honest/resolve/${"f".repeat(40)}/README.md`]);
    expect(readFileSync(join(second.folder, "intervention.safetensors")).equals(noise(300_000))).toBe(true);
    expect(readFileSync(join(bench.folder, "refs/main"), "utf8")).toBe("f".repeat(40));
  });

  test("by tag and pull request records them as refs", async () => {
    await bench.pull({ revision: "refs/pr/1" });
    await bench.pull({ revision: "v1" });
    expect(readFileSync(join(bench.folder, "refs/refs/pr/1"), "utf8")).toBe(COMMIT);
    expect(readFileSync(join(bench.folder, "refs/v1"), "utf8")).toBe(COMMIT);
    await expect(bench.pull({ revision: "absent" })).rejects.toMatchObject({
      code: "hub-not-found",
      message: expect.stringContaining("the revision does not exist"),
    });
    await expect(bench.pull({ revision: "../../x" })).rejects.toMatchObject({ code: "hub-usage" });
  });

  test("that is only planned writes nothing", async () => {
    const { files, commit } = await bench.pull({ dryRun: true });
    expect(commit).toBe(COMMIT);
    expect(files.map(({ path, size, cached }) => [path, size, cached])).toEqual([
      ["intervention.json", 12, false],
      ["intervention.safetensors", 300_000, false],
      ["README.md", 9, false],
    ]);
    expect(bench.kept).toEqual([]);
    expect(bench.hub.fetched).toEqual([]);
  });

  test("follows a listing over pages", async () => {
    const honest = [...bench.hub.files.keys()];
    bench.hub.instead.tree = (request, response, hub) => {
      const cursor = Number(new URL(request.url!, hub.url).searchParams.get("cursor") ?? 0);
      if (cursor + 1 < honest.length) {
        const next = `${hub.url}/api/models/lab/honest/tree/${COMMIT}?recursive=true&cursor=${cursor + 1}`;
        response.setHeader("link", `<${next}>; rel="next"`);
      }
      sendJson(response, [hub.entry(honest[cursor]!), { type: "directory", oid: COMMIT, size: 0, path: `d${cursor}` }]);
    };
    expect((await bench.pull()).files.length).toBe(3);
  });

  test("copies into snapshots where links are not wanted", async () => {
    const pulled = await bench.pull({}, { symlinks: false });
    const path = join(pulled.folder, "intervention.safetensors");
    expect(realpathSync(path)).toBe(join(realpathSync(pulled.folder), "intervention.safetensors"));
    bench.hub.seen.splice(0);
    expect((await bench.pull({}, { symlinks: false })).files.every(({ cached }) => cached)).toBe(true);
    expect(bench.hub.fetched).toEqual([]);
  });

  test("works offline from what was pulled, by branch and by commit, and says what is not there", async () => {
    await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
    const online = await bench.pull();
    bench.hub.seen.splice(0);
    for (const revision of ["main", COMMIT]) {
      const offline = await bench.pull({ revision }, { offline: true });
      expect(offline.folder).toBe(online.folder);
      expect(offline.notices).toEqual([]);
    }
    await expect(bench.pull({ revision: "v1" }, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
    expect(bench.hub.seen).toEqual([]);
  });

  test("falls back on the cache with a notice where nobody answers, but not where the answer is no", async () => {
    await bench.pull();
    bench.hub.instead.revision = (_, response) => void response.writeHead(503).end();
    const pulled = await bench.pull();
    expect(pulled.commit).toBe(COMMIT);
    expect(pulled.notices).toEqual([expect.stringContaining(`using lab/honest@${COMMIT} from the cache`)]);
    bench.hub.instead.revision = (_, response) =>
      void response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
    await expect(bench.pull()).rejects.toMatchObject({ code: "hub-not-found" });
    bench.hub.stop();
    expect((await bench.pull()).notices.length).toBe(1);
  });

  test("stops on the caller's signal and leaves nothing unfinished", async () => {
    const controller = new AbortController();
    bench.hub.instead.resolve = (_, response) => {
      response.writeHead(200, { "content-length": 300_000 }).write(Buffer.alloc(1000));
      controller.abort();
    };
    await expect(bench.pull({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted" });
    expect(bench.kept).toEqual([]);
    await expect(bench.pull({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });

  test("of many files keeps to four connections and gets them all", async () => {
    bench.hub.files.delete("intervention.json");
    bench.hub.put("config.json", "{}");
    for (let i = 0; i < 30; i++) bench.hub.put(`intkey_layer_${i}#0.bin`, noise(5000, i));
    const held: (() => void)[] = [];
    let open = 0;
    let most = 0;
    bench.hub.instead.resolve = (request, response, hub) => {
      most = Math.max(most, ++open);
      held.push(() => {
        open--;
        honest.resolve(request, response, hub);
      });
      // The first four wait for one another.
      if (most === 4) for (const answer of held.splice(0)) answer();
    };
    const pulled = await bench.pull();
    expect(pulled.files.length).toBe(32);
    expect(most).toBe(4);
    expect(readFileSync(join(pulled.folder, "intkey_layer_7#0.bin")).equals(noise(5000, 7))).toBe(true);
  });
});
