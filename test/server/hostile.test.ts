/** Requests that mean harm, or are broken. The numbers are those of the list of hostile inputs that the Hub's two ends are held against. */
import { createHash } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { defaultLimits } from "../../src/server/limits.ts";
import { isFilePath, isRefName, isRepoPart } from "../../src/server/names.ts";
import { ann, ask, askRaw, bob, commitBody, fileLine, hub, type Reply, root, type Sent } from "./places.ts";

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

async function hubWith(...repos: readonly string[]) {
  const made = await hub({ limits: { partBytes: 1000 } });
  const post = (path: string, body: Sent["body"], sent: Sent = {}) =>
    ask(made.url + path, { method: "POST", token: ann.token, body, ...sent });
  for (const name of repos) {
    const [organization, ...rest] = name.split("/");
    await post("/api/repos/create", { name: rest.join("/"), organization, private: true }, root);
  }
  const grant = async (
    repo: string,
    oid: string,
    size: number,
    user: { token: string } = ann,
    transfers = ["basic"],
  ) => {
    const body = { operation: "upload", transfers, objects: [{ oid, size }] };
    return (await post(`/${repo}.git/info/lfs/objects/batch`, body, user)).json.objects[0].actions?.upload;
  };
  const commit = (repo: string, lines: readonly object[], header: object = {}, user: { token: string } = ann) =>
    post(`/api/models/${repo}/commit/main`, commitBody(lines, header), user);
  const head = async (repo: string) => (await ask(`${made.url}/api/models/${repo}`, root)).json.sha as string;
  return { ...made, post, grant, commit, head };
}

const put = (href: string, body: Sent["body"], headers = {}) => ask(href, { method: "PUT", body, headers });
const statusOf = ({ status, json }: Reply) => [status, json.error];

describe("58: browsers that were talked into it", () => {
  test("names that DNS could give to anyone are not answered to", async () => {
    const { url } = await hubWith();
    const { port } = new URL(url);
    const asked = async (host: string) => (await ask(url, { headers: { host } })).status;
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "localhost.evil.example",
      "127.0.0.1.nip.io",
      "a@127.0.0.1",
    ]) {
      expect([host, (await asked(host)) >= 400]).toEqual([host, true]);
    }
    for (const host of [`127.0.0.1:${port}`, "localhost", "LOCALHOST:1", "[::1]:80", "vene.localhost", "10.1.2.3"]) {
      expect([host, await asked(host)]).toEqual([host, 200]);
    }
    const named = await hub({ hostNames: ["Hub.lab"], publicUrl: "https://hub.example.org" });
    for (const host of ["hub.lab", "hub.example.org"])
      expect((await ask(named.url, { headers: { host } })).status).toBe(200);
  });

  test("pages of other origins write nothing and read nothing", async () => {
    const { url } = await hub({ tokens: [] });
    const create = (headers: Record<string, string>) =>
      ask(`${url}/api/repos/create`, { method: "POST", body: { name: `n${Math.random()}` }, headers });
    const foreign = [
      { origin: "http://evil.example" },
      { origin: "null" },
      { origin: url.replace("http:", "https:") },
      { origin: "http://127.0.0.1:1" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ];
    for (const headers of foreign) expect((await create(headers as Record<string, string>)).status).toBe(403);
    expect((await create({ origin: url, "sec-fetch-site": "same-origin" })).status).toBe(200);
    const read = await ask(`${url}/api/models`, { headers: { origin: "http://evil.example" } });
    expect(Object.keys(read.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});

describe("59: uploads", () => {
  const content = Buffer.from("the right bytes");
  const oid = sha256(content);

  test("somebody else's URL, a forged one, one of another kind, and one of a repository that is gone", async () => {
    const { url, post, grant } = await hubWith("ann/a", "ann/b");
    const { href } = await grant("ann/a", oid, content.length);
    const [body, signature] = href.slice(`${url}/_lfs/`.length).split(".");
    const altered = Buffer.from(body, "base64url").toString().replace('"size":15', '"size":16');
    expect(altered).toContain('"size":16');
    const other = Buffer.from(altered).toString("base64url");
    const forged = [
      `${other}.${signature}`,
      `${body}.`,
      body,
      `.${signature}`,
      `${body}.${"A".repeat(43)}`,
      "x",
      "%00",
    ];
    for (const token of forged) expect((await put(`${url}/_lfs/${token}`, content)).status).toBe(403);
    const elsewhere = await hubWith("ann/a");
    expect((await put(href.replace(url, elsewhere.url), content)).status).toBe(403);
    expect((await put(`${href}/1`, content)).status).toBe(403);
    await post("/api/repos/delete", {}, { method: "DELETE", body: { name: "a" } });
    await post("/api/repos/create", { name: "a" });
    expect((await put(href, content)).status).toBe(404);
    expect(await grant("ann/a", oid, content.length)).toBeDefined();
  });

  test("one that has expired", async () => {
    const { url } = await hub({ limits: { uploadMs: -1 } });
    const post = (path: string, body: object) => ask(url + path, { method: "POST", token: ann.token, body });
    await post("/api/repos/create", { name: "a" });
    const objects = [{ oid, size: content.length }];
    const batch = await post("/ann/a.git/info/lfs/objects/batch", { operation: "upload", objects });
    const reply = await put(batch.json.objects[0].actions.upload.href, content);
    expect(statusOf(reply)).toEqual([403, "this upload URL has expired"]);
  });

  test("longer, shorter and other bytes than announced leave nothing behind", async () => {
    const { dir, grant, commit } = await hubWith("ann/a");
    const { href } = await grant("ann/a", oid, content.length);
    const chunked = { "transfer-encoding": "chunked" };
    const replies = [
      await put(href, Buffer.alloc(content.length + 1)),
      await put(href, Buffer.alloc(1_000_000), chunked),
      await put(href, Buffer.alloc(3)),
      await put(href, Buffer.alloc(3), chunked),
      await put(href, Buffer.alloc(content.length)),
    ];
    expect(replies.map(({ status }) => status)).toEqual([413, 413, 400, 400, 400]);
    expect(replies[4]!.json.error).toContain(oid);
    const line = { key: "lfsFile", value: { path: "x.bin", algo: "sha256", oid, size: content.length } };
    expect((await commit("ann/a", [line])).status).toBe(400);
    expect(await readdir(join(dir, "scratch"))).toEqual([]);
    expect(await readdir(join(dir, "models/ann/a.git/lfs/objects"))).toEqual([]);
  });

  test("a URL used again stores the same and nothing else", async () => {
    const { grant, commit } = await hubWith("ann/a");
    const { href } = await grant("ann/a", oid, content.length);
    expect((await put(href, content)).status).toBe(200);
    expect((await put(href, "something else!")).status).toBe(400);
    expect((await put(href, content)).status).toBe(200);
    const line = { key: "lfsFile", value: { path: "x.bin", algo: "sha256", oid, size: content.length } };
    expect((await commit("ann/a", [line])).status).toBe(200);
  });

  test("an upload that breaks off", async () => {
    const { url, dir, grant } = await hubWith("ann/a");
    const { href } = await grant("ann/a", oid, content.length);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write(
      `PUT ${new URL(href).pathname} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${content.length}\r\n\r\nthe`,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await expect(emptied(join(dir, "scratch"))).resolves.toBe(true);
  });

  test("parts: too long, too short, unknown, missing, wrong in sum", async () => {
    const { dir, grant } = await hubWith("ann/a");
    const whole = Buffer.alloc(2500, "part");
    const upload = await grant("ann/a", sha256(whole), whole.length, ann, ["basic", "multipart"]);
    expect(Object.keys(upload.header)).toEqual(["chunk_size", "00001", "00002", "00003"]);
    const complete = (numbers: readonly number[]) =>
      ask(upload.href, {
        method: "POST",
        body: { oid: "", parts: numbers.map((partNumber) => ({ partNumber, etag: "" })) },
      });
    const part = (number: number, bytes: Buffer) => put(upload.header["00001"].replace(/1$/, String(number)), bytes);
    expect((await complete([1, 2, 3])).status).toBe(400);
    const bad = [
      await part(1, Buffer.alloc(1001)),
      await part(3, Buffer.alloc(499)),
      await part(4, Buffer.alloc(1)),
      await part(0, Buffer.alloc(1)),
    ];
    expect(bad.map(({ status }) => status)).toEqual([413, 400, 400, 400]);
    expect((await part(1, whole.subarray(0, 1000))).headers["etag"]).toMatch(/^"[0-9a-f]{64}"$/);
    expect((await part(3, whole.subarray(2000))).status).toBe(200);
    for (const numbers of [[1, 3], [], [3, 2, 1], [1, 2, 2]]) expect((await complete(numbers)).status).toBe(400);
    expect((await complete([1, 2, 3])).json.error).toContain("sha256");
    expect(await readdir(join(dir, "scratch"))).toEqual([]);
    for (const [index, start] of [0, 1000, 2000].entries()) await part(index + 1, whole.subarray(start, start + 1000));
    expect((await complete([1, 2, 3])).status).toBe(200);
    expect((await complete([1, 2, 3])).status).toBe(200);
  });
});

describe("60: commits", () => {
  test("paths twice, files that are folders, deletions of nothing: refused whole", async () => {
    const { commit, head } = await hubWith("ann/a");
    await commit("ann/a", [fileLine("file", "1"), fileLine("folder/x", "2")]);
    const before = await head("ann/a");
    const refused: readonly (readonly [number, readonly object[]])[] = [
      [400, [fileLine("new", "a"), fileLine("new", "b")]],
      [400, [fileLine("file/inside", "a")]],
      [400, [fileLine("folder", "a")]],
      [400, [fileLine("p", "a"), fileLine("p/q", "b")]],
      [404, [{ key: "deletedFile", value: { path: "nowhere" } }]],
      [404, [{ key: "deletedFile", value: { path: "folder" } }]],
      [404, [{ key: "deletedFolder", value: { path: "file" } }]],
      [400, [{ key: "renamedFile", value: { path: "file" } }]],
      [400, [{ key: "__proto__", value: { path: "file" } }]],
      [400, [{ key: "header", value: { summary: "again" } }]],
      [400, [{ key: "file", value: { path: "x", content: "AAA", encoding: "base64" } }]],
      [400, [{ key: "file", value: { path: "x", content: "A", encoding: "rot13" } }]],
      [400, [{ key: "lfsFile", value: { path: "x", algo: "md5", oid: "0" } }]],
    ];
    for (const [status, lines] of refused) {
      expect([JSON.stringify(lines), (await commit("ann/a", lines)).status]).toEqual([JSON.stringify(lines), status]);
    }
    expect(await head("ann/a")).toBe(before);
  });

  test("deletions and additions count in their order", async () => {
    const { url, commit } = await hubWith("ann/a");
    await commit("ann/a", [fileLine("x", "old"), fileLine("d/1", "1"), fileLine("d/2", "2")]);
    const gone = (kind: string, path: string) => ({ key: kind, value: { path } });
    const lines = [
      gone("deletedFile", "x"),
      fileLine("x", "new"),
      gone("deletedFolder", "d/"),
      fileLine("d", "a file now"),
    ];
    expect((await commit("ann/a", lines)).status).toBe(200);
    const read = async (path: string) => (await ask(`${url}/ann/a/resolve/main/${path}`, ann)).body.toString();
    expect([await read("x"), await read("d")]).toEqual(["new", "a file now"]);
  });

  test("a million operations, endless lines and bodies end early", async () => {
    const { url, post, head } = await hubWith("ann/a");
    const before = await head("ann/a");
    const line = JSON.stringify({ key: "deletedFile", value: { path: "x" } });
    const many = await post("/api/models/ann/a/commit/main", `${commitBody([])}\n${`${line}\n`.repeat(1_000_000 / 4)}`);
    expect(statusOf(many)).toEqual([413, "the commit has more than 25000 operations"]);
    const folder = JSON.stringify({ key: "deletedFolder", value: { path: "x" } });
    const folders = await post("/api/models/ann/a/commit/main", `${commitBody([])}\n${`${folder}\n`.repeat(1001)}`);
    expect(folders.status).toBe(413);
    const small = await hub({ limits: { commitLineBytes: 1000, commitBytes: 5000 } });
    const send = (body: string) =>
      ask(`${small.url}/api/models/ann/a/commit/main`, { method: "POST", token: ann.token, body });
    await ask(`${small.url}/api/repos/create`, { method: "POST", token: ann.token, body: { name: "a" } });
    expect((await send(commitBody([fileLine("x", "y".repeat(2000))]))).status).toBe(413);
    expect((await send(commitBody([]) + "\n".repeat(6000))).status).toBe(413);
    expect((await ask(`${url}/api/models/ann/a`, ann)).json.sha).toBe(before);
    expect(defaultLimits.commitOperations).toBe(25_000);
  });

  test("lines that are no JSON, deep, or name a key twice", async () => {
    const { post } = await hubWith("ann/a");
    const bodies = [
      "",
      "\n\n",
      "{",
      "[]",
      '"x"',
      "null",
      `${"[".repeat(100_000)}`,
      '{"key":"header","key":"header","value":{"summary":"x"}}',
    ];
    bodies.push('{"key":"header","value":{"summary":""}}', '{"key":"header","value":{}}', "\u0000", '{"key":"header"}');
    for (const body of bodies) {
      expect([body.slice(0, 30), (await post("/api/models/ann/a/commit/main", body)).status]).toEqual([
        body.slice(0, 30),
        400,
      ]);
    }
  });

  test("paths that would leave the folder, or no system could check out", async () => {
    const bad = [
      "../x",
      "/x",
      "a/../x",
      "a//b",
      "a/./b",
      "",
      ".git/config",
      "a/.GIT/x",
      "C:\\x",
      "C:x",
      "a\\..\\b",
      "con",
      "x/aux.txt",
    ];
    bad.push(
      "a\u0000b",
      "line\nbreak",
      "dot.",
      "space ",
      "x".repeat(256),
      `${"d/".repeat(64)}x`,
      "\ud800",
      "..",
      "a/..",
    );
    expect(bad.filter(isFilePath)).toEqual([]);
    expect(["a", "a/b.c", ".gitattributes", "ä ö/#?%", "日本語.txt", "...x", "git"].every(isFilePath)).toBe(true);
    const { commit } = await hubWith("ann/a");
    for (const path of bad) expect([path, (await commit("ann/a", [fileLine(path, "x")])).status]).toEqual([path, 400]);
  });

  test("a pointer to a large file that was never uploaded, sent as a small file", async () => {
    const { commit } = await hubWith("ann/a");
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"ab".repeat(32)}\nsize 12\n`;
    expect((await commit("ann/a", [fileLine("x.bin", pointer)])).status).toBe(400);
  });

  test("whatever path is accepted stays inside, in every notation of it", () => {
    const nasty = fc.array(fc.constantFrom("..", ".", "a", "/", "\\", "~", "C:", ".git", "\u0000", " ", "%2e", "…"), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(nasty, (parts) => {
        const path = parts.join("");
        if (!isFilePath(path)) return;
        const inside = join("/root", path);
        expect(inside.startsWith("/root/") && inside === `/root/${path}`).toBe(true);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => !isRepoPart(text) || /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(text)));
    fc.assert(fc.property(fc.string(), (text) => !isRefName(text) || !/[\s~^:?*[\\]|\.\./.test(text)));
  });
});

describe("61: connections", () => {
  test("two lengths for one body, in both ways to say it", async () => {
    const { url } = await hubWith("ann/a");
    const start = `POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ann.token}\r\n`;
    const smuggled = "0\r\n\r\nGET /api/whoami-v2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (const headers of [
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
      "Transfer-Encoding: chunked, identity\r\n\r\n",
      "Transfer-Encoding : chunked\r\n\r\n",
    ]) {
      const answer = await askRaw(url, start + headers + smuggled);
      expect(
        answer
          .split("HTTP/1.1 ")
          .slice(1)
          .map((text) => text.slice(0, 3)),
      ).toEqual(["400"]);
    }
  });

  test("headers and bodies that never end", async () => {
    const { url } = await hub({ limits: { headersMs: 200, idleMs: 300, smallBodyMs: 300 } });
    const slow = await askRaw(url, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    expect(slow).toMatch(/^(HTTP\/1\.1 408|$)/);
    const head = `POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ann.token}\r\n`;
    expect(await askRaw(url, `${head}Content-Length: 100\r\n\r\n{`)).toMatch(/^(HTTP\/1\.1 408|$)/);
    expect((await ask(`${url}/api/models`)).status).toBe(200);
    const long = await ask(`${url}/api/models`, { headers: { "x-long": "x".repeat(20_000) } });
    expect(long.status).toBe(431);
  });

  test("more connections than allowed are closed, the others go on", async () => {
    const { url } = await hub({ limits: { connections: 20 } });
    const closed: Socket[] = [];
    const sockets = Array.from({ length: 60 }, () => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      return socket.on("error", () => undefined).once("close", () => closed.push(socket));
    });
    while (closed.length < 40) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(closed).toHaveLength(40);
    for (const socket of sockets) socket.destroy();
    let status = 0;
    while (status !== 200)
      status = await ask(`${url}/api/models`).then(
        (reply) => reply.status,
        () => 0,
      );
  });

  test("targets that are no path of this server", async () => {
    const { url } = await hubWith();
    for (const target of ["http://evil.example/", "//evil.example/x", "*", "evil.example:80"]) {
      const answer = await askRaw(url, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      expect([target, answer.slice(9, 12)]).toEqual([target, "400"]);
    }
    const noHost = await askRaw(url, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    expect(noHost.slice(9, 12)).toBe("400");
  });

  test("small bodies that are large, and JSON that is hostile", async () => {
    const { url } = await hub({ limits: { smallBodyBytes: 1000 } });
    const send = (body: string, headers = {}) =>
      ask(`${url}/api/repos/create`, { method: "POST", token: ann.token, body, headers });
    const chunked = { "transfer-encoding": "chunked" };
    expect((await send("x".repeat(1001))).status).toBe(413);
    expect((await send("x".repeat(100_000), chunked)).status).toBe(413);
    for (const body of [
      "{",
      "[]",
      "1",
      '{"a":1,"a":2}',
      "\ufeff{}",
      '{"name":{"__proto__":1}}',
      '{"name":3}',
      '{"__proto__":{"name":"x"}}',
    ]) {
      expect([body, (await send(body)).status]).toEqual([body, 400]);
    }
  });
});

describe("63: what one tenant learns about another", () => {
  const secret = Buffer.from("ann's private weights");
  const oid = sha256(secret);
  const line = { key: "lfsFile", value: { path: "w.bin", algo: "sha256", oid, size: secret.length } };

  test("that somebody has an object is neither told nor of any use", async () => {
    const { grant, commit } = await hubWith("ann/private", "bob/private");
    await put((await grant("ann/private", oid, secret.length)).href, secret);
    expect((await commit("ann/private", [line])).status).toBe(200);
    expect(await grant("ann/private", oid, secret.length)).toBeUndefined();
    const forBob = await grant("bob/private", oid, secret.length, bob);
    expect(forBob.href).toMatch(/^http/);
    expect((await commit("bob/private", [line], {}, bob)).status).toBe(400);
    expect((await put(forBob.href, Buffer.alloc(secret.length))).status).toBe(400);
    await put(forBob.href, secret);
    expect((await commit("bob/private", [line], {}, bob)).status).toBe(200);
  });

  test("nor do git objects of one repository show in another", async () => {
    const { url, commit, head } = await hubWith("ann/private", "bob/private");
    await commit("ann/private", [fileLine("x", "x")]);
    const reply = await ask(`${url}/api/models/bob/private/revision/${await head("ann/private")}`, bob);
    expect(reply.headers["x-error-code"]).toBe("RevisionNotFound");
  });

  test("listings and errors hide what exists", async () => {
    const { url, post } = await hubWith("ann/private");
    expect((await ask(`${url}/api/models`, bob)).json).toEqual([]);
    const asked = async (name: string) => {
      const { status, json } = await post(
        `/ann/${name}.git/info/lfs/objects/batch`,
        { operation: "upload", objects: [] },
        bob,
      );
      return [status, json];
    };
    expect(await asked("private")).toEqual(await asked("absent"));
  });
});

/** Waits for a folder to be empty. */
async function emptied(path: string): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await readdir(path)).length === 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

test("a folder that is something else is not touched", async () => {
  const { dir } = await hub();
  const other = join(dir, "scratch", "home");
  await mkdir(other);
  await writeFile(join(other, "diary.txt"), "dear diary");
  await expect(hub({ dir: other })).rejects.toMatchObject({ code: "server-usage" });
  expect(await readdir(other)).toEqual(["diary.txt"]);
});
