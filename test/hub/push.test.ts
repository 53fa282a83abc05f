/** Pushing artefacts with the official client to the embedded Hub: one commit, checked, never twice. */
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { type PushArtefactOptions, pushArtefact, readArtefact, writeArtefact } from "../../src/index.ts";
import { frontMatterOf } from "../artefact/cards.ts";
import { temporaryFolder } from "../artefact/places.ts";
import { addition, sample, zero } from "../artefact/samples.ts";
import { FlakyHub, reader, type Whim } from "../support/flaky-hub.ts";

let hub: FlakyHub;
let folder: string;
let count = 0;
let repo: string;

beforeAll(async () => {
  hub = await FlakyHub.start();
});
afterAll(() => hub.close());
beforeEach(async () => {
  hub.whim = () => "pass";
  hub.seen.length = 0;
  repo = `me/repo-${count++}`;
  folder = await temporaryFolder();
  await writeArtefact(folder, sample());
});

const push = (options: PushArtefactOptions = {}, to = repo, from = folder) =>
  pushArtefact(from, to, { hub: hub.options, ...options });

async function filesAt(revision: string, of = repo): Promise<string[]> {
  const tree = (await hub.ask(`/api/models/${of}/tree/${encodeURIComponent(revision)}`)) as { path: string }[];
  return tree.map(({ path }) => path).filter((path) => path !== ".gitattributes");
}
const text = async (path: string, revision = "main", of = repo) =>
  (await hub.ask(`/${of}/resolve/${encodeURIComponent(revision)}/${path}`)) as string;
const manifestAt = async (revision?: string, of = repo) => JSON.parse(await text("intervention.json", revision, of));
const commitsOf = async () => (await hub.ask(`/api/models/${repo}/commits/main`)) as { id: string; title: string }[];

const key = addition.key;
const all = ["README.md", "config.json", `intkey_${key}.bin`, "intervention.json", "intervention.safetensors"].sort();

describe("a push", () => {
  test("makes the repository and one commit with exactly the artefact's files", async () => {
    const pushed = await push({ message: "First" });
    expect(pushed).toMatchObject({ repo, created: true, changed: true, removed: [], notices: [] });
    expect(pushed.commit).toMatch(/^[0-9a-f]{40}$/);
    expect(pushed.ref).toBe(`${repo}@${pushed.commit}`);
    expect(pushed.url).toBe(`${hub.url}/${repo}/tree/${pushed.commit}`);
    expect([...pushed.written].sort()).toEqual(all);
    expect((await filesAt("main")).sort()).toEqual(all);
    const [latest] = await commitsOf();
    expect(latest).toMatchObject({ id: pushed.commit, title: "First" });
    expect(hub.commits).toBe(1);
    expect(await text("intervention.json")).toBe(readFileSync(join(folder, "intervention.json"), "utf8"));
  });

  test("gives the repository a card that names it", async () => {
    await push();
    const card = await text("README.md");
    expect(frontMatterOf(card)).toMatchObject({ library_name: "vene", base_model: "me/model" });
    expect(card).toContain(`pyvene.IntervenableModel.load("${repo}", model=model)`);
    expect(readFileSync(join(folder, "README.md"), "utf8")).not.toContain(repo);
  });

  test("again makes no commit", async () => {
    const first = await push();
    const again = await push();
    expect(again).toMatchObject({ commit: first.commit, created: false, changed: false, written: [] });
    expect(hub.commits).toBe(1);
  });

  test("of a newer version replaces it, and deletes what it no longer has", async () => {
    await push();
    await hub.commitFile(repo, "notes.txt", "mine");
    await writeArtefact(folder, sample({ interventions: [zero] }, new Map()));
    const pushed = await push();
    expect(pushed.removed).toEqual([`intkey_${key}.bin`]);
    expect((await filesAt("main")).sort()).toEqual(
      [...all.filter((path) => !path.startsWith("intkey")), "notes.txt"].sort(),
    );
    await writeArtefact(folder, sample({ interventions: [zero] }, new Map()), { pyvene: false });
    expect((await push()).removed).toEqual(["config.json"]);
  });

  test("of large tensors goes through LFS, and is compared there", async () => {
    const wide = Tensor.float32(
      [4, 50_000],
      new Float32Array(200_000).map((_, i) => Math.sin(i)),
    );
    const base = { model: null, architecture: null, layers: null, hiddenSize: null };
    await writeArtefact(folder, sample({ base, interventions: [addition] }, new Map([["one", wide]])));
    const events: number[] = [];
    await push({ onProgress: ({ done, total }) => events.push(done, total!) });
    const tree = (await hub.ask(`/api/models/${repo}/tree/main`)) as {
      path: string;
      lfs?: { oid: string; size: number };
    }[];
    const { artefact } = await readArtefact(folder);
    const stored = tree.find(({ path }) => path === "intervention.safetensors");
    expect(stored?.lfs?.oid).toBe(artefact.manifest.files["intervention.safetensors"].sha256);
    expect(events.at(-2)! / events.at(-1)!).toBeGreaterThan(0.4);
    expect(await push()).toMatchObject({ changed: false });
  });

  test("of what pyvene saved adds format 1 beside it", async () => {
    await rm(join(folder, "intervention.json"));
    await rm(join(folder, "intervention.safetensors"));
    expect((await push()).notices[0]).toContain("pyvene records no base model");
    expect((await filesAt("main")).sort()).toEqual(all);
    expect(await text("config.json")).toBe(readFileSync(join(folder, "config.json"), "utf8"));
  });

  test("to a name alone goes to one's own namespace, and with a licence records it", async () => {
    const name = `alone-${count}`;
    expect((await push({ license: "mit" }, name)).repo).toBe(`me/${name}`);
    expect(await manifestAt("main", `me/${name}`)).toMatchObject({ license: "mit" });
    expect((await readArtefact(folder)).artefact.manifest.license).toBe("apache-2.0");
  });

  test("can propose a pull request, go to a branch, and be tagged", async () => {
    const first = await push({ tags: ["v1"] });
    await writeArtefact(folder, sample({ summary: "Two." }));
    const proposed = await push({ createPr: true });
    expect(proposed.pullRequestUrl).toMatch(new RegExp(`^http://127.0.0.1:\\d+/${repo}/discussions/1$`));
    expect(await manifestAt("refs/pr/1")).toMatchObject({ summary: "Two." });
    expect(await manifestAt()).toMatchObject({ summary: "A sample." });
    const branched = await push({ revision: "next/2" });
    expect(await manifestAt("next/2")).toMatchObject({ summary: "Two." });
    await push({ revision: "next/2", tags: ["v2", "latest"] });
    const { tags } = (await hub.ask(`/api/models/${repo}/refs`)) as { tags: { name: string; targetCommit: string }[] };
    expect(Object.fromEntries(tags.map((tag) => [tag.name, tag.targetCommit]))).toEqual({
      v1: first.commit,
      v2: branched.commit,
      latest: branched.commit,
    });
  });
});

describe("the card on the Hub", () => {
  test("keeps what was written there, unless the folder says something else", async () => {
    await push();
    const card = await text("README.md");
    await hub.commitFile(repo, "README.md", card.replace("---\n\n<!--", "language: en\n---\n\nFrom the web.\n\n<!--"));
    await writeArtefact(folder, sample({ summary: "Two." }));
    await push();
    const kept = await text("README.md");
    expect(kept).toContain("From the web.");
    expect(kept).toContain("Two.");
    expect(frontMatterOf(kept)).toMatchObject({ language: "en" });
    expect(await push()).toMatchObject({ changed: false });
    const path = join(folder, "README.md");
    writeFileSync(path, `${readFileSync(path, "utf8")}\nFrom the folder.\n`);
    expect((await push()).notices).toEqual([expect.stringContaining("was replaced by the folder's")]);
    const replaced = await text("README.md");
    expect(replaced).toContain("From the folder.");
    expect(replaced).not.toContain("From the web.");
    expect(frontMatterOf(replaced)).toMatchObject({ language: "en" });
  });
});

describe("refuses", () => {
  test("48: links, and leaves dotfiles and everything undeclared behind", async () => {
    writeFileSync(join(folder, ".env"), "SECRET=1");
    writeFileSync(join(folder, "intkey_other.bin"), "x");
    writeFileSync(join(folder, "notes.txt"), "x");
    symlinkSync("/etc", join(folder, "loop"));
    expect((await push()).notices).toEqual(["not pushed: .env, loop, notes.txt"]);
    expect((await filesAt("main")).sort()).toEqual(all);
    const linked = await temporaryFolder();
    for (const path of all) symlinkSync(join(folder, path), join(linked, path));
    await expect(push({}, repo, linked)).rejects.toMatchObject({ code: "hub-usage" });
  });

  test("48: a file that changes while it is pushed", async () => {
    await push();
    await writeArtefact(folder, sample({ summary: "Two." }));
    const before = await commitsOf();
    const bytes = readFileSync(join(folder, "intervention.safetensors"));
    writeFileSync(join(folder, "intervention.safetensors"), Buffer.concat([bytes, Buffer.from([0])]));
    await expect(push()).rejects.toMatchObject({ code: "artefact-tensor" });
    expect(await commitsOf()).toEqual(before);
  });

  test("a folder that is no artefact, before anything is sent", async () => {
    await rm(join(folder, "intervention.safetensors"));
    await expect(push()).rejects.toMatchObject({ code: "file-missing" });
    await expect(push({}, "not/a/repo")).rejects.toMatchObject({ code: "file-missing" });
    await writeArtefact(folder, sample());
    await expect(push({}, "not/a/repo")).rejects.toMatchObject({ code: "hub-usage" });
    await expect(push({ tags: ["a b"] })).rejects.toMatchObject({ code: "hub-usage" });
    await expect(push({ createPr: true, tags: ["v1"] })).rejects.toMatchObject({ code: "hub-usage" });
    await expect(push({ creatPr: true } as PushArtefactOptions)).rejects.toMatchObject({ code: "usage" });
    expect(hub.seen).toEqual([]);
  });

  test("a repository that holds a model", async () => {
    await hub.change(
      "POST",
      "/api/repos/create",
      JSON.stringify({ name: repo.slice(3), organization: "me", type: "model" }),
    );
    await hub.commitFile(repo, "config.json", '{"model_type":"llama"}');
    await expect(push()).rejects.toMatchObject({
      code: "hub-conflict",
      message: expect.stringContaining("config.json"),
    });
    await hub.commitFile(repo, "config.json", '{"representations":[]}');
    await hub.commitFile(repo, "model.safetensors", "x");
    await expect(push()).rejects.toMatchObject({ code: "hub-conflict" });
    expect(hub.commits).toBe(0);
  });

  test("a public repository where a private one is asked for", async () => {
    await push();
    await expect(push({ private: true })).rejects.toMatchObject({ code: "hub-conflict" });
    const hidden = `${repo}-hidden`;
    await push({ private: true }, hidden);
    expect(await hub.ask(`/api/models/${hidden}`)).toMatchObject({ private: true });
    expect(await push({ private: true }, hidden)).toMatchObject({ changed: false });
  });

  test("a tag that is somewhere else", async () => {
    await push({ tags: ["v1"] });
    await writeArtefact(folder, sample({ summary: "Two." }));
    await expect(push({ tags: ["v1"] })).rejects.toMatchObject({ code: "hub-conflict" });
    expect(hub.commits).toBe(1);
  });

  test("without the right, and when told to stop", async () => {
    const others = { ...hub.options, token: reader };
    await expect(push({ hub: others })).rejects.toMatchObject({ code: "hub-unauthorized" });
    await expect(push({ hub: { ...hub.options, token: null } })).rejects.toMatchObject({ code: "hub-unauthorized" });
    await expect(push({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    await expect(push({ hub: { ...hub.options, offline: true } })).rejects.toMatchObject({ code: "hub-offline" });
  });
});

describe("a commit", () => {
  const onCommit =
    (...whims: Whim[]): Whim =>
    (request, response) =>
      /\/commit\//.test(request.url!) ? (whims.shift() ?? (() => "pass"))(request, response) : "pass";

  test.each([
    ["lost", (() => "lose") as Whim, 1],
    ["never arrived", (() => "drop") as Whim, 2],
  ])("whose answer was %s is found or made, once", async (_, whim, requests) => {
    hub.whim = onCommit(whim);
    const pushed = await push();
    expect((await commitsOf())[0]!.id).toBe(pushed.commit);
    expect((await commitsOf()).filter(({ title }) => title.startsWith("Upload"))).toHaveLength(1);
    expect(hub.commits).toBe(requests);
  });

  test("of a pull request whose answer was lost makes no second one", async () => {
    await push();
    await writeArtefact(folder, sample({ summary: "Two." }));
    hub.whim = onCommit(() => "lose");
    const proposed = await push({ createPr: true });
    expect(proposed.pullRequestUrl).toBe(`${hub.url}/${repo}/discussions/1`);
    const { pullRequests } = (await hub.ask(`/api/models/${repo}/refs?include_prs=1`)) as { pullRequests: unknown[] };
    expect(pullRequests).toHaveLength(1);
  });

  test("behind a 502 of a proxy or a cut answer is found, too", async () => {
    for (const body of ["<html>bad gateway</html>", '{"success":tr']) {
      hub.whim = onCommit((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk) => chunks.push(chunk));
        request.on("end", async () => {
          await hub.change("POST", request.url!, Buffer.concat(chunks).toString());
          response.writeHead(body.startsWith("<") ? 502 : 200, { "content-type": "application/json" }).end(body);
        });
        return "answered";
      });
      await writeArtefact(folder, sample({ summary: body.slice(0, 5) }));
      const pushed = await push();
      expect((await commitsOf())[0]!.id).toBe(pushed.commit);
    }
    expect(hub.commits).toBe(2);
  });

  test("on a head that moved is refused", async () => {
    await push();
    await writeArtefact(folder, sample({ summary: "Two." }));
    hub.whim = (request) => {
      if (!/\/preupload\//.test(request.url!)) return "pass";
      hub.whim = () => "pass";
      void hub.commitFile(repo, "notes.txt", "meanwhile");
      return "drop";
    };
    await expect(push()).rejects.toMatchObject({ code: "hub-conflict" });
    expect(await text("notes.txt")).toBe("meanwhile");
    expect(await manifestAt()).toMatchObject({ summary: "A sample." });
  });

  test("that the Hub damaged is not called done", async () => {
    await push();
    await writeArtefact(folder, sample({ summary: "Two." }));
    hub.whim = onCommit((request, response) => {
      request.resume();
      request.on("end", async () => {
        await hub.commitFile(repo, "intervention.json", "{}");
        const { id } = (await commitsOf())[0]!;
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ success: true, commitOid: id, commitUrl: "x", hookOutput: "" }));
      });
      return "answered";
    });
    await expect(push()).rejects.toMatchObject({ code: "hub-integrity" });
  });

  test("whose outcome cannot be found out says so", async () => {
    hub.whim = onCommit(() => {
      hub.whim = (_, response) => {
        response.writeHead(503, { "retry-after": "0" }).end();
        return "answered";
      };
      return "drop";
    });
    await expect(push()).rejects.toMatchObject({
      code: "hub-unreachable",
      message: expect.stringContaining("unknown"),
    });
    hub.whim = () => "pass";
    expect(await push()).toMatchObject({ changed: true });
  });
});

test("the copy of a folder pushes the same bytes", async () => {
  const { commit } = await push();
  const copy = await temporaryFolder();
  await cp(folder, copy, { recursive: true, dereference: true });
  expect(await push({}, repo, copy)).toMatchObject({ commit, changed: false });
});
