/** Pulling on a machine where things go wrong: killed processes, full disks, damaged caches, many processes at once. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { RepoCache } from "../../src/hub/cache.ts";
import { download } from "../../src/hub/download.ts";
import { hubEnvironment } from "../../src/hub/environment.ts";
import { parseRepoId, resolveUrl } from "../../src/hub/repo-id.ts";
import { type Answer, COMMIT, gitId, honest, sendJson, sha256Hex } from "../support/hostile-hub.ts";
import { noise, PullBench } from "../support/hub-cache.ts";
import { faultsOf, startPull } from "../support/killed-pulls.ts";

/** Built by `npm test`. */
const built = new URL("../../dist/hub/pull.js", import.meta.url).href;
const content = noise(300_000);
const tensors = sha256Hex(content);

let bench: PullBench;
beforeEach(async () => {
  bench = await PullBench.start();
});
afterEach(() => bench.stop());

const snapshot = (path: string) => join(bench.folder, "snapshots", COMMIT, path);
const blob = (name: string) => join(bench.folder, "blobs", name);

async function expectRepaired(): Promise<void> {
  const { folder } = await bench.pull();
  expect(readFileSync(join(folder, "intervention.safetensors")).equals(content)).toBe(true);
  expect(faultsOf(bench.hub, bench.cache)).toEqual([]);
}

describe("processes", () => {
  const slowly: Answer = (request, response, hub) => {
    const file = hub.files.get(request.url!.split("/").at(-1)!)!;
    response.writeHead(200, { etag: '"x"' });
    const pieces = Array.from({ length: 6 }, (_, i) =>
      file.content.subarray((i * file.content.length) / 6, ((i + 1) * file.content.length) / 6),
    );
    const next = () => {
      const piece = pieces.shift();
      if (piece === undefined) return void response.end();
      response.write(piece);
      setTimeout(next, 5);
    };
    next();
  };

  test("41: a pull killed at any step leaves a cache that the next one finishes", async () => {
    bench.hub.instead.resolve = slowly;
    for (const moment of ["revision", "tree", "first body", "10 ms later", "25 ms later", "40 ms later"]) {
      rmSync(bench.folder, { recursive: true, force: true });
      const { child, exit } = startPull(built, bench.hub, bench.cache);
      const kill = () => void child.kill("SIGKILL");
      const delay = Number.parseInt(moment, 10);
      bench.hub.instead.revision = (request, response, hub) => {
        if (moment === "revision") kill();
        honest.revision(request, response, hub);
      };
      bench.hub.instead.tree = (request, response, hub) => {
        if (moment === "tree") kill();
        honest.tree(request, response, hub);
      };
      bench.hub.instead.resolve = (request, response, hub) => {
        if (moment === "first body") kill();
        if (delay > 0) setTimeout(kill, delay);
        slowly(request, response, hub);
      };
      expect((await exit).signal).toBe("SIGKILL");
      expect(faultsOf(bench.hub, bench.cache)).toEqual([]);
      await expectRepaired();
    }
  });

  test("41: what a killed process left is swept after a day, not before", async () => {
    mkdirSync(join(bench.folder, "blobs"), { recursive: true });
    const [old, young, other] = [
      `${tensors}.00000001.incomplete`,
      `${tensors}.00000002.incomplete`,
      "notes.incomplete",
    ];
    for (const name of [old, young, other]) writeFileSync(blob(name), "half");
    utimesSync(blob(old), new Date(0), new Date(0));
    utimesSync(blob(other), new Date(0), new Date(0));
    await expectRepaired();
    expect([old, young, other].map((name) => existsSync(blob(name)))).toEqual([false, true, true]);
  });

  test("43: eight processes pulling the same", async () => {
    bench.hub.instead.resolve = slowly;
    const pulls = Array.from({ length: 8 }, () => startPull(built, bench.hub, bench.cache));
    for (const { exit } of pulls) {
      const { code, out, err } = await exit;
      expect([code, err]).toEqual([0, ""]);
      expect(JSON.parse(out).commit).toBe(COMMIT);
    }
    expect(faultsOf(bench.hub, bench.cache)).toEqual([]);
    expect(bench.kept.filter((path) => path.includes("incomplete"))).toEqual([]);
    expect(bench.kept.length).toBe(8);
  });

  test("43: blobs removed under a pull's feet", async () => {
    bench.hub.instead.resolve = (request, response, hub) => {
      if (request.url!.endsWith("README.md")) rmSync(join(bench.folder, "blobs"), { recursive: true, force: true });
      honest.resolve(request, response, hub);
    };
    await bench.pull().catch((thrown) => expect(thrown).toMatchObject({ code: "hub-cache" }));
    delete bench.hub.instead.resolve;
    await expectRepaired();
  });

  test("44: a lock that somebody left does not stop anybody", async () => {
    const locks = join(bench.cache, ".locks", "models--lab--honest");
    mkdirSync(locks, { recursive: true });
    writeFileSync(join(locks, `${tensors}.lock`), "999999");
    await expectRepaired();
  });
});

describe("disks", () => {
  const wanted = () => ({
    file: { path: "intervention.safetensors", size: 300_000, digest: { algorithm: "sha256", hex: tensors } as const },
    url: resolveUrl(bench.hub.url, parseRepoId("lab/honest"), COMMIT, "intervention.safetensors"),
  });

  test("42: a full one, met while writing", async () => {
    const handle = await open("/dev/full", "w");
    await expect(download(bench.hub.environment(bench.cache), handle, wanted())).rejects.toMatchObject({
      code: "hub-cache",
      details: { system: "ENOSPC" },
      hint: expect.stringContaining("free some space"),
    });
    await handle.close();
  });

  test("42: one that is too small is found out before the first byte", async () => {
    bench.hub.instead.tree = (_, response, hub) => {
      const size = 2 ** 50;
      const entry = hub.entry("intervention.safetensors") as { lfs: object };
      sendJson(response, [hub.entry("intervention.json"), { ...entry, size, lfs: { ...entry.lfs, size } }]);
    };
    await expect(bench.pull()).rejects.toMatchObject({ code: "hub-cache", details: { needed: 2 ** 50 + 12 } });
    expect(bench.hub.fetched).toEqual([]);
  });

  test.each(["ENOSPC", "EIO", "EMFILE", "EROFS", "EACCES"])(
    "42: %s while a file is added leaves nothing of it",
    async (code) => {
      const cache = new RepoCache(bench.hub.environment(bench.cache), parseRepoId("lab/honest"));
      const adding = cache.add(COMMIT, wanted().file, async (handle) => {
        await handle.write("half");
        throw Object.assign(new Error("the disk says no"), { code });
      });
      await expect(adding).rejects.toMatchObject({ code: "hub-cache", details: { system: code } });
      expect(bench.kept).toEqual([]);
    },
  );

  test("42: a cache folder that is a file, or lies where nothing can be made", async () => {
    const file = join(bench.cache, "file");
    writeFileSync(file, "x");
    for (const cacheFolder of [file, join(file, "below"), "/proc/vene-cache"]) {
      await expect(bench.pull({}, { cacheFolder })).rejects.toMatchObject({ code: "hub-cache" });
    }
  });
});

describe("45: a damaged cache is repaired or refused", () => {
  beforeEach(async () => void (await bench.pull()));

  test("a link to nowhere, one in a circle, and a file that is missing", async () => {
    rmSync(blob(tensors));
    await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
    await expectRepaired();
    rmSync(snapshot("intervention.safetensors"));
    symlinkSync("intervention.safetensors", snapshot("intervention.safetensors"));
    await expectRepaired();
    rmSync(snapshot("intervention.json"));
    bench.hub.seen.splice(0);
    await expectRepaired();
    expect(bench.hub.fetched).toEqual([]);
  });

  test("other bytes of the same length, and of another", async () => {
    const wrong = Buffer.from(content);
    wrong[5]! ^= 1;
    for (const bytes of [wrong, content.subarray(1), Buffer.alloc(0)]) {
      writeFileSync(blob(tensors), bytes);
      await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
      await expectRepaired();
    }
  });

  test("a blob that is a link to the outside is replaced, and what it pointed to stays", async () => {
    const outside = join(bench.cache, "..", `outside-${process.pid}`);
    writeFileSync(outside, content);
    rmSync(blob(tensors));
    symlinkSync(outside, blob(tensors));
    await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
    await expectRepaired();
    expect(lstatSync(blob(tensors)).isFile()).toBe(true);
    expect(readFileSync(outside).equals(content)).toBe(true);
    rmSync(outside);
  });

  test("a folder where a blob or a file should be", async () => {
    rmSync(blob(tensors));
    mkdirSync(join(blob(tensors), "x"), { recursive: true });
    await expect(bench.pull()).rejects.toMatchObject({ code: "hub-cache" });
    rmSync(blob(tensors), { recursive: true });
    rmSync(snapshot("README.md"));
    mkdirSync(join(snapshot("README.md"), "x"), { recursive: true });
    await expect(bench.pull()).rejects.toMatchObject({ code: "hub-cache" });
    expect(bench.kept.filter((path) => path.includes("incomplete"))).toEqual([]);
  });

  test("an empty ref, one that is no commit, one with a line break", async () => {
    const ref = join(bench.folder, "refs", "main");
    for (const text of ["", "../../x", "a".repeat(41)]) {
      writeFileSync(ref, text);
      await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({
        code: "hub-cache",
        details: { path: ref },
      });
      await expectRepaired();
    }
    writeFileSync(ref, `${COMMIT}\n`);
    expect((await bench.pull({}, { offline: true })).commit).toBe(COMMIT);
  });

  test("a record of the listing that lies or is no JSON", async () => {
    const tree = join(bench.folder, "trees", `${COMMIT}.json`);
    const whole = JSON.parse(readFileSync(tree, "utf8"));
    const evil = { ...whole, files: { ...whole.files, "../../evil": { size: 1, blob_id: "0".repeat(40) } } };
    const more = { ...whole, files: { ...whole.files, "config.json": { size: 1, blob_id: "0".repeat(40) } } };
    for (const text of ["", "[]", "{", JSON.stringify(evil), JSON.stringify({ ...whole, format_version: 2 })]) {
      writeFileSync(tree, text);
      await expectRepaired();
      expect(JSON.parse(readFileSync(tree, "utf8"))).toEqual(whole);
    }
    writeFileSync(tree, JSON.stringify(more));
    await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
    await expectRepaired();
    expect(JSON.parse(readFileSync(tree, "utf8"))).toEqual(whole);
  });

  test("without any record of the listing, what lies there counts", async () => {
    rmSync(join(bench.folder, "trees"), { recursive: true });
    const { files } = await bench.pull({}, { offline: true });
    expect(files.map(({ path }) => path).sort()).toEqual([
      "README.md",
      "intervention.json",
      "intervention.safetensors",
    ]);
    writeFileSync(blob(tensors), "damaged");
    await expect(bench.pull({}, { offline: true })).rejects.toMatchObject({ code: "hub-offline" });
  });

  test("Python's store of shared blobs is read through its links, and never written to", async () => {
    const store = join(bench.cache, "blobs", "ab");
    mkdirSync(store, { recursive: true });
    const shared = join(store, "ab".repeat(32));
    renameSync(blob(tensors), shared);
    symlinkSync(`../../blobs/ab/${"ab".repeat(32)}`, blob(tensors));
    bench.hub.seen.splice(0);
    expect((await bench.pull()).files.every(({ cached }) => cached)).toBe(true);
    rmSync(join(bench.folder, "trees"), { recursive: true });
    expect((await bench.pull({}, { offline: true })).files.length).toBe(3);
    expect(bench.hub.fetched).toEqual([]);
    writeFileSync(shared, "damaged");
    await expectRepaired();
    expect(readFileSync(shared, "utf8")).toBe("damaged");
  });
});

describe("places", () => {
  test("46: a read-only cache that has everything is used as it is", async () => {
    await bench.pull();
    const folders = ["", "blobs", "refs", "snapshots", join("snapshots", COMMIT), "trees"].map((name) =>
      join(bench.folder, name),
    );
    for (const folder of folders) chmodSync(folder, 0o555);
    const before = readdirSync(bench.folder).map((name) => lstatSync(join(bench.folder, name)).mtimeMs);
    expect((await bench.pull()).notices).toEqual([]);
    expect(readdirSync(bench.folder).map((name) => lstatSync(join(bench.folder, name)).mtimeMs)).toEqual(before);
    for (const folder of folders) chmodSync(folder, 0o755);
  });

  test("46: where only the records cannot be written, the files are used with a notice", async () => {
    mkdirSync(bench.folder);
    writeFileSync(join(bench.folder, "refs"), "in the way");
    const { notices, folder } = await bench.pull();
    expect(notices).toEqual([expect.stringContaining("offline mode will not find main")]);
    expect(readFileSync(join(folder, "intervention.safetensors")).equals(content)).toBe(true);
  });

  test("47: spaces, other alphabets and very long paths", async () => {
    for (const name of [
      "with spaces 100%",
      "каталог-目录-📁",
      ...[1, 2].map((n) => join(...Array(n * 4).fill("long".repeat(20)))),
    ]) {
      const cacheFolder = join(bench.cache, name);
      const { folder } = await bench.pull({}, { cacheFolder });
      expect(folder.startsWith(cacheFolder)).toBe(true);
      expect(readFileSync(join(folder, "intervention.safetensors")).equals(content)).toBe(true);
    }
  });

  test("47: HOME unset", () => {
    expect(hubEnvironment({}, {}).cacheFolder).toMatch(/^\/.*\/\.cache\/huggingface\/hub$/);
  });

  test("a cache behind a link of its own", async () => {
    const real = join(bench.cache, "real");
    mkdirSync(real);
    symlinkSync(real, bench.folder);
    await bench.pull();
    bench.hub.seen.splice(0);
    expect((await bench.pull()).files.every(({ cached }) => cached)).toBe(true);
    expect(realpathSync(snapshot("README.md"))).toBe(
      join(realpathSync(real), "blobs", gitId(Buffer.from("# honest\n"))),
    );
  });
});
