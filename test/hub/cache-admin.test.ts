/** Listing, verifying and clearing the Hub cache: what is damaged is named, and nothing outside is read or deleted. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { listCache, pruneCache, removeFromCache, verifyCache } from "../../src/index.ts";
import { temporaryFolder } from "../artefact/places.ts";
import { commit, gitSha1, PythonCache, sha256 } from "../support/python-cache.ts";

const repo = "models--lab--x";
const [one, two, three] = ["1", "2", "3"].map(commit) as [string, string, string];
let cache: PythonCache;

/** Two revisions of lab/x that share a blob, and a data set. */
beforeEach(() => {
  cache = new PythonCache();
  cache.add(repo, one, "a.json", "shared");
  cache.add(repo, one, "sub/b.bin", "only one", true);
  cache.link(repo, two, "a.json", cache.path(repo, "blobs", gitSha1("shared")));
  cache.add(repo, two, "b.bin", "only two!", true);
  cache.ref(repo, "main", two);
  cache.ref(repo, "refs/pr/1", two);
  cache.add("datasets--lab--d", three, "d.txt", "data");
  cache.ref("datasets--lab--d", "main", three);
  cache.write("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
  cache.write(".locks/models--lab--x/a.lock", "");
  cache.write("version.txt", "1");
});

describe("listing", () => {
  test("gives repositories, revisions, refs and sizes, shared blobs once", async () => {
    const repos = await listCache({ hub: cache.hub });
    expect(repos.map(({ type, repo: name, size, faults }) => ({ type, name, size, faults }))).toEqual([
      { type: "dataset", name: "lab/d", size: 4, faults: [] },
      { type: "model", name: "lab/x", size: 6 + 8 + 9, faults: [] },
    ]);
    expect(repos[1]!.revisions.map(({ commit: id, refs, size }) => ({ id, refs, size }))).toEqual([
      { id: one, refs: [], size: 14 },
      { id: two, refs: ["main", "refs/pr/1"], size: 15 },
    ]);
    expect(repos[1]!.revisions[0]!.files.map(({ path, size }) => [path, size])).toEqual([
      ["a.json", 6],
      ["sub/b.bin", 8],
    ]);
  });

  test("of no cache is empty, and of an unreadable one an error", async () => {
    expect(await listCache({ hub: { cacheFolder: cache.path("nowhere") } })).toEqual([]);
    await expect(listCache({ cacheFolder: cache.root } as never)).rejects.toMatchObject({ code: "usage" });
    await expect(listCache({ hub: cache.hub, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });

  test("works through a link to the cache, but not through links to repositories", async () => {
    const link = join(await temporaryFolder(), "link");
    symlinkSync(cache.root, link);
    symlinkSync(cache.path(repo), cache.path("models--lab--linked"));
    const repos = await listCache({ hub: { cacheFolder: link } });
    expect(repos.map(({ repo: name }) => name)).toEqual(["lab/d", "lab/x"]);
  });
});

describe("verifying", () => {
  const verify = async (name = "lab/x") => (await verifyCache({ hub: cache.hub, repo: name }))[0]!;

  test("reads every blob once and finds them right", async () => {
    expect(await verify()).toEqual({ repo: "lab/x", type: "model", verified: 3, bytes: 23, unknown: [], faults: [] });
    expect(await verifyCache({ hub: cache.hub })).toHaveLength(2);
    expect(await verify("datasets/lab/d")).toMatchObject({ verified: 1 });
    await expect(verify("lab/d")).rejects.toMatchObject({ code: "hub-not-found" });
  });

  test("finds wrong bytes, of both kinds of digest", async () => {
    cache.write(`${repo}/blobs/${gitSha1("shared")}`, "sharex");
    cache.write(`${repo}/blobs/${sha256("only two!")}`, "only tw");
    const { faults, verified } = await verify();
    expect(verified).toBe(1);
    expect(faults).toEqual(
      [
        expect.stringMatching(new RegExp(`${gitSha1("shared")} has other bytes than its git-sha1`)),
        expect.stringMatching(new RegExp(`${sha256("only two!")} has other bytes than its sha256`)),
      ].sort(),
    );
  });

  test("checks copies against the recorded listing, and says of which nothing is recorded", async () => {
    cache.write(`${repo}/snapshots/${two}/copy.txt`, "copy");
    cache.write(`${repo}/snapshots/${two}/mine.txt`, "mine");
    const listing = { format_version: 1, files: { "copy.txt": { size: 4, blob_id: gitSha1("copy") } } };
    cache.write(`${repo}/trees/${two}.json`, JSON.stringify(listing));
    expect(await verify()).toMatchObject({ verified: 4, unknown: [cache.path(repo, "snapshots", two, "mine.txt")] });
    cache.write(`${repo}/snapshots/${two}/copy.txt`, "COPY");
    expect((await verify()).faults).toEqual([expect.stringContaining("copy.txt has other bytes")]);
  });

  test.each<[string, string, () => void]>([
    [
      "a dangling link",
      "links to a blob that is not there",
      () => rmSync(cache.path(repo, "blobs", gitSha1("shared"))),
    ],
    ["a link out of the cache", "is no link to a blob", () => cache.link(repo, two, "passwd", "/etc/passwd")],
    [
      "a link within the snapshot",
      "is no link to a blob",
      () => cache.link(repo, two, "l", cache.path(repo, "snapshots", two, "b.bin")),
    ],
    [
      "a blob that is a folder",
      "is a folder, expected a file",
      () => mkdirSync(cache.path(repo, "blobs", "0".repeat(40))),
    ],
    [
      "a blob that leads out",
      "is a link out of the cache",
      () => symlinkSync("/etc/passwd", cache.path(repo, "blobs", "0".repeat(64))),
    ],
    ["an empty ref", 'holds "", expected a commit', () => cache.ref(repo, "v1", "")],
    ["a ref with a newline", "expected a commit", () => cache.ref(repo, "v1", `${one}\n`)],
    ["a ref to nothing", `is ${three}, which is not there`, () => cache.ref(repo, "v1", three)],
    ["a ref that is a link", "expected a commit", () => symlinkSync("/etc/passwd", cache.path(repo, "refs", "v1"))],
    ["a revision that is no commit", "is no folder of a commit", () => cache.write(`${repo}/snapshots/main/x`, "x")],
    [
      "a revision that is a link",
      "is no folder of a commit",
      () => symlinkSync("/etc", cache.path(repo, "snapshots", three)),
    ],
    ["a pipe", "is something special", () => void execFileSync("mkfifo", [cache.path(repo, "blobs", "1".repeat(40))])],
  ])("45: names %s", async (_, message, damage) => {
    damage();
    const { faults } = await verify();
    expect(faults.some((fault) => fault.includes(message))).toBe(true);
    expect(faults.every((fault) => fault.includes(cache.root) || fault.includes("lab/x"))).toBe(true);
  });

  test("45: blobs in Python's shared store are followed, and a listing that lies changes nothing", async () => {
    const shared = cache.write(`blobs/ab/${"c".repeat(64)}`, "shared store");
    symlinkSync(join("..", "..", "blobs", "ab", "c".repeat(64)), cache.path(repo, "blobs", sha256("shared store")));
    cache.link(repo, two, "s.bin", cache.path(repo, "blobs", sha256("shared store")));
    cache.write(`${repo}/trees/${two}.json`, '{"format_version":1,"files":{"../../x":{"size":1,"blob_id":"0"}}}');
    expect(await verify()).toMatchObject({ verified: 4, faults: [] });
    writeFileSync(shared, "shared st0re");
    expect((await verify()).faults).toEqual([expect.stringContaining("has other bytes")]);
    await removeFromCache(["lab/x"], { hub: cache.hub });
    expect(existsSync(shared)).toBe(true);
  });
});

describe("removing", () => {
  const remove = (targets: string[], dryRun = false) => removeFromCache(targets, { hub: cache.hub, dryRun });

  test("a revision takes only what no other one has", async () => {
    const before = cache.kept;
    const result = { repos: [], revisions: [`lab/x@${one}`], blobs: 1, temporaries: 0, bytes: 8 };
    expect(await remove([`lab/x@${one.slice(0, 8)}`], true)).toEqual(result);
    expect(cache.kept).toEqual(before);
    expect(await remove([`lab/x@${one}`])).toEqual(result);
    expect(before.filter((path) => !cache.kept.includes(path))).toEqual(
      [
        `${repo}/blobs/${sha256("only one")}`,
        `${repo}/snapshots/${one}/a.json`,
        `${repo}/snapshots/${one}/sub/b.bin`,
      ].sort(),
    );
    expect((await verifyCache({ hub: cache.hub })).flatMap(({ faults }) => faults)).toEqual([]);
  });

  test("a revision by its ref takes the refs and the listing, too", async () => {
    cache.write(`${repo}/trees/${two}.json`, "{}");
    cache.write(`${repo}/.no_exist/${two}/x`, "");
    expect(await remove(["lab/x@refs/pr/1"])).toMatchObject({ revisions: [`lab/x@${two}`], bytes: 9 });
    expect(cache.kept.filter((path) => path.includes(two) || path.includes("/refs/"))).toEqual([
      "datasets--lab--d/refs/main",
    ]);
    expect(existsSync(cache.path(repo, "refs", "refs"))).toBe(false);
  });

  test("a repository, or all of its revisions, takes its folder and nothing that is linked from it", async () => {
    const outside = join(await temporaryFolder(), "precious");
    mkdirSync(outside);
    writeFileSync(join(outside, "x"), "precious");
    symlinkSync(outside, cache.path(repo, "blobs", "0".repeat(40)));
    symlinkSync(outside, cache.path(repo, "snapshots", three));
    const both = await remove([`lab/x@${one}`, "lab/x@main", "datasets/lab/d"]);
    expect(both).toMatchObject({ repos: ["lab/x", "datasets/lab/d"], blobs: 4, bytes: 27 });
    expect(cache.kept).toEqual([".locks/models--lab--x/a.lock", "CACHEDIR.TAG", "version.txt"]);
    expect(readFileSync(join(outside, "x"), "utf8")).toBe("precious");
  });

  test.each(["lab/y", "lab/x@nope", "lab/x@", "lab/d", "../x", "lab/x@../../x"])("%s is not there", async (target) => {
    const before = cache.kept;
    await expect(remove(["lab/x", target])).rejects.toMatchObject({ code: "hub-not-found" });
    expect(cache.kept).toEqual(before);
  });
});

describe("pruning", () => {
  const prune = (dryRun = false) => pruneCache({ hub: cache.hub, dryRun });

  test("takes revisions without a name and what unfinished downloads left", async () => {
    cache.write(`${repo}/blobs/${"a".repeat(64)}.01234567.incomplete`, "half");
    cache.write(`${repo}/.01234567.incomplete`, "ref");
    cache.write(`${repo}/blobs/${sha256("orphan")}`, "orphan");
    const before = cache.kept;
    expect(await prune()).toEqual({ repos: [], revisions: [], blobs: 0, temporaries: 0, bytes: 0 });
    expect(cache.kept).toEqual(before);
    cache.age();
    const result = { repos: [], revisions: [`lab/x@${one}`], blobs: 2, temporaries: 2, bytes: 8 + 6 + 4 + 3 };
    expect(await prune(true)).toEqual(result);
    expect(cache.kept).toEqual(before);
    expect(await prune()).toEqual(result);
    expect(await prune()).toEqual({ repos: [], revisions: [], blobs: 0, temporaries: 0, bytes: 0 });
    expect((await verifyCache({ hub: cache.hub })).map(({ verified, faults }) => [verified, faults])).toEqual([
      [1, []],
      [2, []],
    ]);
  });

  test("takes a repository of which nothing has a name, but not while it is being pulled", async () => {
    rmSync(cache.path("datasets--lab--d", "refs"), { recursive: true });
    expect((await prune()).repos).toEqual([]);
    cache.age();
    cache.write(`datasets--lab--d/blobs/${"b".repeat(64)}.01234567.incomplete`, "coming");
    expect(await prune()).toMatchObject({ repos: [], temporaries: 0 });
    expect(cache.kept.filter((path) => path.includes("incomplete"))).toHaveLength(1);
    cache.age();
    await prune();
    expect(cache.kept.filter((path) => path.includes("lab--d"))).toEqual([]);
  });
});
