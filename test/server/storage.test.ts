/** The folder behind the embedded Hub: git's own objects, restarts, and crashes at every step (64). */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { startHub } from "../../src/server/hub-server.ts";
import { mintToken } from "../../src/server/identity.ts";
import { Scratch } from "../../src/server/scratch.ts";
import { commitTo } from "../../src/server/store/commit.ts";
import { coverInAttributes } from "../../src/server/store/first-commit.ts";
import {
  decodeCommit,
  decodeTree,
  encodeCommit,
  encodeObject,
  encodeTree,
  oidOf,
} from "../../src/server/store/git-objects.ts";
import { decodePointer, encodePointer } from "../../src/server/store/lfs-pointer.ts";
import { Repositories } from "../../src/server/store/repositories.ts";
import { filesOf } from "../../src/server/store/trees.ts";
import { parseHubTokens } from "../../src/server/token-file.ts";
import { ann, ask, commitBody, fileLine, folder, hub } from "./places.ts";

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

describe("git's formats", () => {
  test("ids that git gives", () => {
    expect(oidOf(encodeObject("blob", Buffer.from("hello\n")))).toBe("ce013625030ba8dba906f756967f9e9ca394464a");
    expect(oidOf(encodeObject("tree", encodeTree([])))).toBe("4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    const commit = {
      tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
      parents: [],
      author: "ann",
      time: 1_700_000_000,
    };
    expect(oidOf(encodeObject("commit", encodeCommit({ ...commit, message: "first\n\nwhy" })))).toBe(
      "d2a77235e2a8999074af9cad1cb58b094a330605",
    );
  });

  test("trees and commits come back as they were", () => {
    const name = fc.string({ minLength: 1 }).filter((text) => !/[/\0]/.test(text) && !/\p{Surrogate}/u.test(text));
    const entry = fc.record({ name, kind: fc.constantFrom("file" as const, "directory" as const), oid: hex(40) });
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: (e) => e.name }), (entries) => {
        const decoded = decodeTree(encodeTree(entries));
        expect(new Map(decoded.map((e) => [e.name, e]))).toEqual(new Map(entries.map((e) => [e.name, e])));
        expect(encodeTree(decoded)).toEqual(encodeTree(entries));
      }),
    );
    const message = fc.string({ minLength: 1 }).filter((text) => !/\p{Surrogate}/u.test(text) && !text.endsWith("\n"));
    const commit = { tree: hex(40), parents: fc.array(hex(40)), author: fc.constant("ann"), time: fc.nat(), message };
    fc.assert(fc.property(fc.record(commit), (given) => expect(decodeCommit(encodeCommit(given))).toEqual(given)));
  });

  test("folders sort as git sorts them", () => {
    const oid = "1".repeat(40);
    const names = ["a.b", "a", "a0", "B"].map((name) => ({
      name,
      kind: name === "a" ? ("directory" as const) : ("file" as const),
      oid,
    }));
    expect(decodeTree(encodeTree(names)).map(({ name }) => name)).toEqual(["B", "a.b", "a", "a0"]);
  });

  test("pointers to large files", () => {
    fc.assert(
      fc.property(hex(64), fc.nat({ max: 2 ** 40 }), (sha256, size) => {
        expect(decodePointer(encodePointer({ sha256, size }))).toEqual({ sha256, size });
      }),
    );
    for (const text of ["", "version https://git-lfs.github.com/spec/v1\n", "x".repeat(1000)]) {
      expect(decodePointer(Buffer.from(text))).toBeUndefined();
    }
  });

  test("large files of unusual kinds get a line each in .gitattributes", () => {
    const line = " filter=lfs diff=lfs merge=lfs -text\n";
    expect(coverInAttributes(`*.bin${line}`, ["a.bin", "b c.txt", "no-extension"])).toBe(
      `*.bin${line}b[[:space:]]c.txt${line}no-extension${line}`,
    );
  });
});

describe("restarts", () => {
  test("everything is there again, under the same id; uploads that were under way are gone", async () => {
    const first = await hub();
    const post = (url: string, path: string, body: object | string) =>
      ask(url + path, { method: "POST", token: ann.token, body });
    await post(first.url, "/api/repos/create", { name: "kept", private: true });
    const body = Buffer.from("large");
    const oid = createHash("sha256").update(body).digest("hex");
    const objects = [{ oid, size: body.length }];
    const batch = await post(first.url, "/ann/kept.git/info/lfs/objects/batch", { operation: "upload", objects });
    const { href } = batch.json.objects[0].actions.upload;
    await ask(href, { method: "PUT", body });
    const lfs = { key: "lfsFile", value: { path: "l.bin", algo: "sha256", oid, size: 5 } };
    await post(first.url, "/api/models/ann/kept/commit/main", commitBody([fileLine("a/b", "small"), lfs]));
    await post(first.url, "/api/models/ann/kept/tag/main", { tag: "v1" });
    await post(first.url, "/api/models/ann/kept/commit/main?create_pr=1", commitBody([fileLine("c", "c")]));
    const about = async (url: string) => [
      (await ask(`${url}/api/models/ann/kept?blobs=true`, ann)).json,
      (await ask(`${url}/api/models/ann/kept/refs?include_prs=1`, ann)).json,
      (await ask(`${url}/api/models/ann/kept/discussions`, ann)).json,
      (await ask(`${url}/ann/kept/resolve/v1/l.bin`, ann)).body.toString(),
    ];
    const before = await about(first.url);
    expect(before[3]).toBe("large");
    await first.close();
    await writeFile(join(first.dir, "scratch", "half-an-upload"), "x");
    const id = await readFile(join(first.dir, "hub.json"), "utf8");
    const second = await hub({ dir: first.dir });
    expect(await about(second.url)).toEqual(before);
    expect(await readdir(join(first.dir, "scratch"))).toEqual([]);
    expect(await readFile(join(first.dir, "hub.json"), "utf8")).toBe(id);
    expect((await ask(href.replace(first.url, second.url), { method: "PUT", body })).status).toBe(403);
  });

  test("git itself reads a repository", async () => {
    const { url, dir } = await hub();
    const post = (path: string, body: object | string) => ask(url + path, { method: "POST", token: ann.token, body });
    await post("/api/repos/create", { name: "plain" });
    await post(
      "/api/models/ann/plain/commit/main",
      commitBody([fileLine("a/b.txt", "b"), fileLine("a.txt", "a"), fileLine("a0", "")]),
    );
    await post("/api/models/ann/plain/tag/main", { tag: "v1" });
    const head = (await ask(`${url}/api/models/ann/plain`)).json.sha;
    const loose = await readdir(join(dir, "models/ann/plain.git/objects"));
    expect(loose.every((name) => /^[0-9a-f]{2}$/.test(name))).toBe(true);
    expect(existsSync(join(dir, "models/ann/plain.git/objects", head.slice(0, 2), head.slice(2)))).toBe(true);
    const git = (...argv: string[]) =>
      execFileSync("git", ["-c", "safe.directory=*", ...argv], {
        cwd: join(dir, "models/ann/plain.git"),
        encoding: "utf8",
      });
    expect(git("fsck", "--strict", "--no-dangling")).toBe("");
    expect(git("log", "--format=%H %an %s", "v1").trim().split("\n")[0]).toBe(`${head} ann a commit`);
    expect(git("ls-tree", "-r", "--name-only", "main").trim().split("\n")).toEqual([
      ".gitattributes",
      "a.txt",
      "a/b.txt",
      "a0",
    ]);
  });
});

/** A disk that fails at the `fuse`th write, half-way through it, like a process that is killed there. */
class Fused extends Scratch {
  fuse = Number.POSITIVE_INFINITY;

  override async writeTo(target: string, content: Uint8Array | string): Promise<void> {
    if (--this.fuse < 0) {
      await writeFile(this.newPath(), content.slice(0, content.length / 2));
      throw new Error("killed");
    }
    return super.writeTo(target, content);
  }
}

describe("64: a crash between object and ref", () => {
  test("at every write of a commit: the old head or the new one, and all of it", async () => {
    const dir = await folder();
    const scratch = new Fused(join(dir, "scratch"));
    await scratch.recover();
    const broken = new Repositories(dir, scratch);
    await broken.load();
    const outcomes: string[] = [];
    for (let writes = 0; outcomes.at(-1) !== "done"; writes++) {
      const where = { type: "model", namespace: "ann", name: `crash${writes}` } as const;
      scratch.fuse = Number.POSITIVE_INFINITY;
      const repository = await broken.create(where, { private: false, gated: false }, "ann", {});
      const old = repository.head!;
      scratch.fuse = writes;
      const attempt = async () => {
        const oid = await repository.objects.writeBlob(Buffer.from("new content"));
        const changes = [{ kind: "file", path: "deep/er/file.txt", oid }] as const;
        const request = { title: "t", description: "", author: "ann", parent: undefined, changes };
        return commitTo(repository, () => ({ ref: "refs/heads/main", base: old }), request, 100);
      };
      outcomes.push(
        await attempt().then(
          () => "done",
          (error: Error) => error.message,
        ),
      );
      const recovered = new Repositories(dir, new Scratch(join(dir, "scratch")));
      await recovered.load();
      const { head, objects } = recovered.get("model", "ann", where.name)!;
      expect(head).toBe(repository.head);
      const files = await filesOf(objects, (await objects.readCommit(head!)).tree);
      for (const oid of files.values()) await objects.readBlob(oid);
      expect([...files.keys()].sort()).toEqual(
        head === old ? [".gitattributes"] : [".gitattributes", "deep/er/file.txt"],
      );
    }
    // The blob, three trees, the commit, the ref.
    expect(outcomes).toEqual([...Array(6).fill("killed"), "done"]);
  });

  test("while a repository is made: it is there with its first commit, or not at all", async () => {
    const dir = await folder();
    const scratch = new Fused(join(dir, "scratch"));
    await scratch.recover();
    const repositories = new Repositories(dir, scratch);
    await repositories.load();
    const create = () =>
      repositories.create({ type: "model", namespace: "ann", name: "x" }, { private: false, gated: false }, "ann", {});
    for (scratch.fuse = 0; scratch.fuse < 4; ) {
      const fuse = scratch.fuse;
      await expect(create()).rejects.toThrow("killed");
      const again = new Repositories(dir, scratch);
      await again.load();
      expect(again.list()).toEqual([]);
      scratch.fuse = fuse + 1;
    }
    expect((await create()).head).toMatch(/^[0-9a-f]{40}$/);
  });
});

describe("folders that cannot be served", () => {
  const usage = { code: "server-usage" };
  const storage = { code: "server-storage" };

  test("one that another server has; it is free again when that one ends, or is dead", async () => {
    const { dir, close } = await hub();
    await expect(hub({ dir })).rejects.toMatchObject(storage);
    await close();
    await writeFile(join(dir, "hub.lock"), "1\n");
    await expect(hub({ dir })).rejects.toMatchObject(storage);
    for (const stale of ["4194999\n", "", "nonsense", `${process.pid}\n`]) {
      await writeFile(join(dir, "hub.lock"), stale);
      await (await hub({ dir })).close();
      expect(existsSync(join(dir, "hub.lock"))).toBe(false);
    }
  });

  test("files of another version, damaged repositories", async () => {
    const { dir, url, close } = await hub();
    await ask(`${url}/api/repos/create`, { method: "POST", token: ann.token, body: { name: "x" } });
    const { sha } = (await ask(`${url}/api/models/ann/x`)).json;
    await close();
    const repository = join(dir, "models", "ann", "x.git");
    const facts = await readFile(join(repository, "hub.json"), "utf8");
    for (const text of ["", "{}", "[]", facts.replace("false", "0")]) {
      await writeFile(join(repository, "hub.json"), text);
      await expect(hub({ dir })).rejects.toMatchObject(storage);
    }
    await writeFile(join(repository, "hub.json"), facts);
    await unlink(join(repository, "objects", sha.slice(0, 2), sha.slice(2)));
    await expect(hub({ dir })).rejects.toMatchObject({ ...storage, message: expect.stringContaining(sha) });
    await writeFile(join(repository, "packed-refs"), "nonsense\n");
    await expect(hub({ dir })).rejects.toMatchObject(storage);
    await rm(repository, { recursive: true });
    await (await hub({ dir })).close();
    await writeFile(join(dir, "hub.json"), '{"hub":2,"id":"x"}');
    await expect(hub({ dir })).rejects.toMatchObject(storage);
  });

  test("a file, and a place where nothing can be made", async () => {
    const dir = await folder();
    await writeFile(join(dir, "file"), "");
    await expect(hub({ dir: join(dir, "file") })).rejects.toMatchObject(storage);
    await expect(hub({ dir: "/proc/hub" })).rejects.toMatchObject(storage);
  });

  test("options that cannot be", async () => {
    const dir = await folder();
    const start = (options: object) => startHub({ dir, ...options });
    await expect(start({ host: "0.0.0.0" })).rejects.toMatchObject(usage);
    await expect(start({ prot: 1 })).rejects.toMatchObject(usage);
    await expect(start({ host: "256.1.1.1", tokens: [ann] })).rejects.toMatchObject(usage);
    await expect(start({ publicUrl: "https://x/y" })).rejects.toMatchObject(usage);
    await expect(start({ tokens: [{ ...ann, token: "secret" }] })).rejects.toMatchObject(usage);
    await expect(start({ tokens: [{ ...ann, name: "a b" }] })).rejects.toMatchObject(usage);
    await expect(start({ tokens: [{ ...ann, role: "owner" }] })).rejects.toMatchObject(usage);
    await (await hub({ dir, host: "0.0.0.0" })).close();
    const port = Number(new URL((await hub()).url).port);
    await expect(start({ port })).rejects.toMatchObject(usage);
  });

  test("files of tokens", () => {
    const tokens = [{ token: mintToken(), name: "ann", role: "write", organizations: ["lab"] }];
    expect(parseHubTokens(JSON.stringify({ tokens }), "t.json")).toEqual(tokens);
    expect(mintToken()).toMatch(/^hf_[A-Za-z0-9]{32}$/);
    const bad = [{}, { tokens: [] }, { tokens: [1] }, { tokens, more: 1 }, { tokens: [{ ...tokens[0], extra: 1 }] }];
    for (const file of [
      ...bad,
      { tokens: [{ token: "x", name: "y" }] },
      { tokens: [{ ...tokens[0], organizations: [1] }] },
    ]) {
      expect(() => parseHubTokens(JSON.stringify(file), "t.json")).toThrow(expect.objectContaining(usage));
    }
    expect(() => parseHubTokens("{", "t.json")).toThrow(expect.objectContaining({ code: "json-invalid" }));
  });
});

test("a full disk is the server's fault and is said so; nothing half-written stays", async () => {
  const { dir, url } = await hub({ onFault: () => undefined });
  await ask(`${url}/api/repos/create`, { method: "POST", token: ann.token, body: { name: "x" } });
  await rm(join(dir, "scratch"), { recursive: true });
  const write = () =>
    ask(`${url}/api/models/ann/x/commit/main`, {
      method: "POST",
      token: ann.token,
      body: commitBody([fileLine("x", "x")]),
    });
  const broken = await write();
  expect([broken.status, broken.json.error]).toEqual([
    500,
    expect.stringMatching(/^internal error, request [0-9a-f-]{36}$/),
  ]);
  await mkdir(join(dir, "scratch"));
  expect((await write()).status).toBe(200);
});
