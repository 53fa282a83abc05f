/** The official JavaScript client, every verb, against the embedded Hub. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  checkRepoAccess,
  commit,
  commitIter,
  countCommits,
  createBranch,
  createRepo,
  datasetInfo,
  deleteBranch,
  deleteFile,
  deleteRepo,
  downloadFile,
  fileDownloadInfo,
  fileExists,
  listCommits,
  listFiles,
  listModels,
  modelInfo,
  pathsInfo,
  repoExists,
  snapshotDownload,
  uploadFile,
  uploadFiles,
  whoAmI,
} from "@huggingface/hub";
import { beforeAll, describe, expect, jest, test } from "@jest/globals";
import { ann, ask, bob, folder, hub, root } from "./places.ts";

let hubUrl: string;
const as = (user: { readonly token: string }) => ({ hubUrl, accessToken: user.token });
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const blob = (text: string) => new Blob([text]);

/** Bytes that do not compress and are the same every time. */
function noise(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const listed: T[] = [];
  for await (const item of items) listed.push(item);
  return listed;
}

beforeAll(async () => {
  hubUrl = (await hub({ limits: { partBytes: 5_000_000 } })).url;
});

describe("repositories", () => {
  test("whoAmI, createRepo, repoExists, checkRepoAccess, deleteRepo", async () => {
    expect(await whoAmI(as(ann))).toMatchObject({
      type: "user",
      name: "ann",
      auth: { accessToken: { role: "write" } },
    });
    const repo = "ann/made";
    expect(await repoExists({ repo, ...as(ann) })).toBe(false);
    expect(await createRepo({ repo, ...as(ann) })).toMatchObject({ repoUrl: `${hubUrl}/ann/made` });
    expect(await repoExists({ repo, ...as(ann) })).toBe(true);
    await expect(createRepo({ repo, ...as(ann) })).rejects.toMatchObject({ statusCode: 409 });
    await checkRepoAccess({ repo, ...as(ann) });
    await expect(checkRepoAccess({ repo: "ann/none", ...as(ann) })).rejects.toMatchObject({ statusCode: 404 });
    await expect(checkRepoAccess({ repo: "ann/none", hubUrl })).rejects.toMatchObject({ statusCode: 401 });
    await expect(deleteRepo({ repo, ...as(bob) })).rejects.toMatchObject({ statusCode: 403 });
    await deleteRepo({ repo, ...as(ann) });
    expect(await repoExists({ repo, ...as(ann) })).toBe(false);
  });

  test("datasets and spaces live beside models of the same name", async () => {
    for (const repo of ["ann/same", "datasets/ann/same", "spaces/ann/same"] as const) {
      await createRepo({ repo, ...as(ann), ...(repo.startsWith("spaces") && { sdk: "static" as const }) });
      await uploadFile({ repo, ...as(ann), file: { path: "where.txt", content: blob(repo) } });
    }
    for (const repo of ["ann/same", "datasets/ann/same", "spaces/ann/same"] as const) {
      const file = await downloadFile({ repo, path: "where.txt", ...as(ann) });
      expect(await file!.text()).toBe(repo);
    }
    expect(await datasetInfo({ name: "ann/same", ...as(ann) })).toMatchObject({ name: "ann/same", private: false });
  });

  test("initial files and a licence", async () => {
    const repo = "ann/started";
    await createRepo({
      repo,
      license: "mit",
      files: [{ path: "a.txt", content: await blob("a").arrayBuffer() }],
      ...as(ann),
    });
    const paths = (await all(listFiles({ repo, ...as(ann) }))).map(({ path }) => path);
    expect(paths).toEqual([".gitattributes", "README.md", "a.txt"]);
  });
});

describe("files", () => {
  const repo = "ann/files";
  const large = noise(12 * (1 << 20), 7);
  const small = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`folder/${index % 3}/f${index}.txt`, `${index}`]),
  );
  let oid: string;

  beforeAll(async () => {
    await createRepo({ repo, ...as(ann) });
    const files = Object.entries(small).map(([path, text]) => ({ path, content: blob(text) }));
    const bin = { path: "weights/large.dat", content: new Blob([large]) };
    const empty = { path: "empty.txt", content: blob("") };
    const done = await uploadFiles({ repo, ...as(ann), files: [...files, bin, empty], commitTitle: "all of it" });
    oid = done!.commit.oid;
    expect(oid).toMatch(/^[0-9a-f]{40}$/);
  });

  test("listFiles: flat, recursive, page by page, expanded", async () => {
    const top = await all(listFiles({ repo, ...as(ann) }));
    expect(top.map(({ path, type }) => [path, type])).toEqual([
      [".gitattributes", "file"],
      ["empty.txt", "file"],
      ["folder", "directory"],
      ["weights", "directory"],
    ]);
    const everything = await all(listFiles({ repo, recursive: true, ...as(ann) }));
    expect(
      everything
        .filter(({ type }) => type === "file")
        .map(({ path }) => path)
        .sort(),
    ).toEqual([".gitattributes", "empty.txt", "weights/large.dat", ...Object.keys(small)].sort());
    const paged: typeof fetch = (input, init) => fetch(`${input}&limit=7`.replace("/main&", "/main?"), init);
    expect(await all(listFiles({ repo, recursive: true, fetch: paged, ...as(ann) }))).toEqual(everything);
    const [first] = await all(listFiles({ repo, path: "weights", expand: true, ...as(ann) }));
    expect(first).toMatchObject({
      path: "weights/large.dat",
      size: large.length,
      lfs: { oid: sha256(large), size: large.length, pointerSize: 133 },
      lastCommit: { id: oid, title: "all of it" },
    });
  });

  test("git's own ids", async () => {
    const infos = await pathsInfo({ repo, paths: ["empty.txt", "folder/0/f0.txt", "folder", "nowhere"], ...as(ann) });
    expect(infos.map(({ path, type, size, oid: id }) => ({ path, type, size, oid: id }))).toEqual([
      { path: "empty.txt", type: "file", size: 0, oid: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" },
      { path: "folder/0/f0.txt", type: "file", size: 1, oid: "c227083464fb9af8955c90d2924774ee50abb547" },
      { path: "folder", type: "directory", size: 0, oid: expect.stringMatching(/^[0-9a-f]{40}$/) },
    ]);
  });

  test("fileExists, fileDownloadInfo, downloadFile in ranges and whole", async () => {
    expect(await fileExists({ repo, path: "weights/large.dat", ...as(ann) })).toBe(true);
    expect(await fileExists({ repo, path: "weights/small.dat", ...as(ann) })).toBe(false);
    const path = "weights/large.dat";
    const info = await fileDownloadInfo({ repo, path, ...as(ann) });
    expect(info).toMatchObject({ size: large.length, etag: `"${sha256(large)}"` });
    expect(await fileDownloadInfo({ repo, path: "none", ...as(ann) })).toBeNull();
    expect(await fileDownloadInfo({ repo, path: "empty.txt", ...as(ann) })).toMatchObject({ size: 0 });
    const file = (await downloadFile({ repo, path, xet: false, ...as(ann) }))!;
    const slice = new Uint8Array(await file.slice(1_000_000, 1_000_100).arrayBuffer());
    expect(slice).toEqual(large.subarray(1_000_000, 1_000_100));
    expect(sha256(new Uint8Array(await file.arrayBuffer()))).toBe(sha256(large));
    const raw = (await downloadFile({ repo, path, raw: true, ...as(ann) }))!;
    expect(await raw.text()).toBe(
      `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(large)}\nsize ${large.length}\n`,
    );
  });

  test("snapshotDownload", async () => {
    const cacheDir = await folder();
    const chatter = jest.spyOn(console, "debug").mockImplementation(() => undefined);
    const path = await snapshotDownload({ repo, cacheDir, ...as(ann) }).finally(() => chatter.mockRestore());
    expect(path).toContain(oid);
    expect(sha256(await readFile(join(path, "weights/large.dat")))).toBe(sha256(large));
    expect(await readFile(join(path, "folder/1/f1.txt"), "utf8")).toBe("1");
  });

  test("large files in parts, beside small ones of the same commit; progress ends at 1", async () => {
    const [parts, whole] = [noise(6_000_000, 11), noise(100_000, 12)];
    const operations = [
      { operation: "addOrUpdate" as const, path: "parts.bin", content: new Blob([parts]) },
      { operation: "addOrUpdate" as const, path: "whole.bin", content: new Blob([whole]) },
      { operation: "addOrUpdate" as const, path: "note.txt", content: blob("small") },
    ];
    const progress = new Map<string, number>();
    for await (const event of commitIter({ repo, title: "parts", operations, ...as(ann) })) {
      if (event.event === "fileProgress") progress.set(event.path, event.progress);
    }
    expect(progress.get("parts.bin")).toBe(1);
    const infos = await pathsInfo({ repo, paths: ["parts.bin", "whole.bin", "note.txt"], ...as(ann) });
    expect(infos.map(({ lfs }) => lfs?.oid)).toEqual([sha256(parts), sha256(whole), undefined]);
    const attributes = await (await downloadFile({ repo, path: ".gitattributes", ...as(ann) }))!.text();
    expect(attributes).toMatch(/^weights\/large\.dat filter=lfs diff=lfs merge=lfs -text$/m);
  });

  test("deleteFile; what is absent cannot be deleted", async () => {
    await uploadFile({ repo, ...as(ann), file: { path: "gone/soon.txt", content: blob("x") } });
    await deleteFile({ repo, path: "gone/soon.txt", ...as(ann) });
    expect(await pathsInfo({ repo, paths: ["gone", "gone/soon.txt"], ...as(ann) })).toEqual([]);
    await expect(deleteFile({ repo, path: "gone/soon.txt", ...as(ann) })).rejects.toMatchObject({ statusCode: 404 });
  });
});

describe("revisions", () => {
  const repo = "ann/revisions";
  const put = (path: string, more: object = {}) =>
    commit({
      repo,
      title: `put ${path}`,
      operations: [{ operation: "addOrUpdate", path, content: blob(path) }],
      ...as(ann),
      ...more,
    });

  beforeAll(async () => {
    await createRepo({ repo, ...as(ann) });
    await put("one.txt");
  });

  test("branches, with slashes too", async () => {
    await createBranch({ repo, branch: "exp/1", ...as(ann) });
    await expect(createBranch({ repo, branch: "exp/1", ...as(ann) })).rejects.toMatchObject({ statusCode: 409 });
    await expect(createBranch({ repo, branch: "exp", ...as(ann) })).rejects.toMatchObject({ statusCode: 409 });
    await put("two.txt", { branch: "exp/1" });
    const list = async (revision: string) =>
      (await all(listFiles({ repo, revision, ...as(ann) }))).map(({ path }) => path);
    expect(await list("exp/1")).toEqual([".gitattributes", "one.txt", "two.txt"]);
    expect(await list("main")).toEqual([".gitattributes", "one.txt"]);
    await createBranch({ repo, branch: "bare", empty: true, ...as(ann) });
    expect(await list("bare")).toEqual([]);
    await deleteBranch({ repo, branch: "exp/1", ...as(ann) });
    await expect(list("exp/1")).rejects.toMatchObject({ statusCode: 404 });
    await expect(deleteBranch({ repo, branch: "main", ...as(ann) })).rejects.toMatchObject({ statusCode: 403 });
  });

  test("pull requests by people who may not push", async () => {
    await expect(put("three.txt", as(bob))).rejects.toMatchObject({ statusCode: 403 });
    const done = await put("three.txt", { isPullRequest: true, ...as(bob) });
    expect(done!.pullRequestUrl).toBe(`${hubUrl}/ann/revisions/discussions/1`);
    await put("four.txt", { branch: "refs/pr/1", ...as(bob) });
    const files = await all(listFiles({ repo, revision: "refs/pr/1", ...as(bob) }));
    expect(files.map(({ path }) => path)).toEqual([".gitattributes", "four.txt", "one.txt", "three.txt"]);
    const merged = await ask(`${hubUrl}/api/models/${repo}/discussions/1/merge`, { method: "POST", token: ann.token });
    expect(merged.status).toBe(200);
    expect(await fileExists({ repo, path: "four.txt", ...as(ann) })).toBe(true);
  });

  test("history, and commits onto a parent that is not the newest any more", async () => {
    const before = await all(listCommits({ repo, ...as(ann) }));
    expect(before.at(-1)!.title).toBe("initial commit");
    expect(before.at(-2)).toMatchObject({ title: "put one.txt", authors: [{ username: "ann" }] });
    expect(await countCommits({ repo, ...as(ann) })).toBe(before.length);
    const parentCommit = before[0]!.oid;
    const next = await put("five.txt", { parentCommit: parentCommit.slice(0, 7) });
    await expect(put("six.txt", { parentCommit: "" })).rejects.toMatchObject({ statusCode: 412 });
    await expect(put("six.txt", { parentCommit })).rejects.toMatchObject({ statusCode: 412 });
    const paged = await all(listCommits({ repo, batchSize: 1, ...as(ann) }));
    expect(paged.map(({ oid }) => oid)).toEqual([next!.commit.oid, ...before.map(({ oid }) => oid)]);
    const old = await all(listFiles({ repo, revision: before.at(-1)!.oid, ...as(ann) }));
    expect(old.map(({ path }) => path)).toEqual([".gitattributes"]);
  });

  test("ten at once onto one branch: all arrive, none is lost", async () => {
    await Promise.all(Array.from({ length: 10 }, (_, index) => put(`many/${index}.txt`)));
    expect(await all(listFiles({ repo, path: "many", ...as(ann) }))).toHaveLength(10);
  });
});

describe("finding", () => {
  test("by author, text and tags; private ones only by those who may see them", async () => {
    const card =
      "---\nlibrary_name: vene\nbase_model: lab/base\nbase_model_relation: adapter\ntags: [steering]\n---\n# x\n";
    for (const name of ["found-1", "found-2", "hidden"]) {
      const repo = `bob/${name}`;
      await createRepo({ repo, ...as(bob), visibility: name === "hidden" ? "private" : "public" });
      await uploadFile({ repo, ...as(bob), file: { path: "README.md", content: blob(card) } });
    }
    const search = { tags: ["vene", "base_model:adapter:lab/base"] };
    const names = async (user: { token: string }) =>
      (await all(listModels({ search, limit: 10, ...as(user) }))).map(({ name }) => name);
    expect(await names(bob)).toEqual(["bob/found-1", "bob/found-2", "bob/hidden"]);
    expect(await names(ann)).toEqual(["bob/found-1", "bob/found-2"]);
    expect(await names(root)).toHaveLength(3);
    expect(await all(listModels({ search: { owner: "bob", query: "FOUND-2" }, ...as(ann) }))).toHaveLength(1);
    const info = await modelInfo({ name: "bob/found-1", additionalFields: ["cardData", "tags", "sha"], ...as(ann) });
    expect(info).toMatchObject({ cardData: { library_name: "vene" }, tags: expect.arrayContaining(["steering"]) });
    await expect(modelInfo({ name: "bob/hidden", ...as(ann) })).rejects.toMatchObject({ statusCode: 404 });
    expect(await repoExists({ repo: "bob/hidden", hubUrl })).toBe(false);
  });
});
