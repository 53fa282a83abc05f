/** Attacks that went through once: by users with a token of their own, on the store and on everybody else's requests. */
import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { describe, expect, test } from "@jest/globals";
import { ann, ask, bob, hub, type Reply } from "./places.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function make(url: string, name: string): Promise<void> {
  const reply = await ask(`${url}/api/repos/create`, { method: "POST", token: ann.token, body: { name } });
  expect(reply.status).toBe(200);
}

function commit(url: string, lines: object[], token: string = ann.token, query = ""): Promise<Reply> {
  const body = [{ key: "header", value: { summary: "s" } }, ...lines].map((line) => JSON.stringify(line)).join("\n");
  return ask(`${url}/api/models/ann/x/commit/main${query}`, { method: "POST", token, body });
}

function file(path: string, content: string) {
  return { key: "file", value: { path, content: Buffer.from(content).toString("base64"), encoding: "base64" } };
}

async function batch(url: string, objects: { oid: string; size: number }[]): Promise<Reply> {
  const body = { operation: "upload", transfers: ["basic", "multipart"], objects };
  return ask(`${url}/ann/x.git/info/lfs/objects/batch`, { method: "POST", token: bob.token, body });
}

describe("commits", () => {
  test.each(["dir/", "a/b/", "/"])("a file called %j, which would be a nameless entry of a tree", async (path) => {
    const { url } = await hub();
    await make(url, "x");
    expect((await commit(url, [file(path, "x")])).status).toBe(400);
    const lfs = { key: "lfsFile", value: { path, algo: "sha256", oid: "0".repeat(64) } };
    expect((await commit(url, [lfs])).status).toBe(400);
    expect((await commit(url, [file("dir/x", "x")])).status).toBe(200);
    expect((await commit(url, [{ key: "deletedFolder", value: { path: "dir/" } }])).status).toBe(200);
  });

  test.each([
    ["a list in itself", "a: &x [*x]"],
    ["a mapping in itself", "a: &x {b: *x}"],
    ["a mapping in itself, far down", "a: &x\n  b:\n    - c: [1, *x]"],
    [
      "laughs",
      `${["a: &a [x,x,x,x,x,x,x,x,x]", ..."bcdefgh"].map((name, i) => (i === 0 ? name : `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i - 1]}`)}]`)).join("\n")}`,
    ],
    ["lists 3000 deep", `a: ${"[".repeat(3000)}${"]".repeat(3000)}`],
    ["lists 100000 deep", `a: ${"[".repeat(100_000)}`],
    ["prototypes", "__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}"],
    ["tags of YAML", "a: !!set {a, b}\nb: !!binary aGk=\nc: !!omap [a: 1]\nd: .nan\ne: !!js/function x"],
  ])("a card with %s does not stop others from listing", async (_, yaml) => {
    const { url } = await hub();
    await make(url, "x");
    expect((await commit(url, [file("README.md", `---\n${yaml}\n---\n`)])).status).toBe(200);
    for (const path of ["/api/models", "/api/models?filter=a", "/api/models/ann/x", "/", "/ann/x"]) {
      const reply = await ask(url + path, { token: bob.token });
      expect(reply.status).toBe(200);
      expect(reply.body.length).toBeLessThan(1_000_000);
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("a pull request with a description of megabytes, which all others would have to read past", async () => {
    const { url } = await hub();
    await make(url, "x");
    const header = { key: "header", value: { summary: "s", description: "d".repeat(1 << 20) } };
    const body = [header, file("a", "a")].map((line) => JSON.stringify(line)).join("\n");
    const path = `${url}/api/models/ann/x`;
    expect((await ask(`${path}/commit/main?create_pr=1`, { method: "POST", token: bob.token, body })).status).toBe(400);
    for (const long of [{ title: "t".repeat(1 << 20) }, { title: "t", description: "d".repeat(1 << 20) }]) {
      const opened = await ask(`${path}/discussions`, {
        method: "POST",
        token: bob.token,
        body: { ...long, pullRequest: true },
      });
      expect(opened.status).toBe(400);
    }
    expect((await ask(`${path}/discussions`)).json).toMatchObject({ count: 0 });
  });
});

describe("large files", () => {
  test("a thousand objects of 64 GiB in one batch: no answer of gigabytes", async () => {
    const { url } = await hub();
    await make(url, "x");
    const objects = Array.from({ length: 1000 }, (_, i) => ({ oid: sha256(Buffer.from([i, i >> 8])), size: 2 ** 36 }));
    expect((await batch(url, objects)).status).toBe(413);
    expect((await batch(url, objects.slice(0, 1))).status).toBe(200);
  });

  test("a part that is still coming in cannot change the object that was checked", async () => {
    const { url } = await hub({ limits: { partBytes: 1000 } });
    await make(url, "x");
    const content = randomBytes(2500);
    const oid = sha256(content);
    const { header, href } = (await batch(url, [{ oid, size: 2500 }])).json.objects[0].actions.upload;
    const parts = Object.entries(header as Record<string, string>).filter(([name]) => /^\d+$/.test(name));
    for (const [name, part] of parts) {
      const start = (Number(name) - 1) * 1000;
      expect((await ask(part, { method: "PUT", body: content.subarray(start, start + 1000) })).status).toBe(200);
    }
    const slow = httpRequest(parts[0]![1], { method: "PUT", agent: false, headers: { "content-length": "1000" } });
    const answered = new Promise<number | undefined>((resolve) => {
      slow.once("response", (answer) => resolve(answer.resume().statusCode)).once("error", () => resolve(undefined));
    });
    slow.write(content.subarray(0, 10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const complete = { oid, parts: parts.map(([name]) => ({ partNumber: Number(name), etag: "x" })) };
    const first = await ask(href, { method: "POST", body: complete });
    slow.end(Buffer.alloc(990));
    await answered;
    if (first.status !== 200) expect(first.status).toBe(409);
    const lfs = { key: "lfsFile", value: { path: "a.bin", algo: "sha256", oid } };
    const committed = await commit(url, [lfs]);
    expect(committed.status).toBe(first.status === 200 ? 200 : 400);
    if (committed.status === 200) expect(sha256((await ask(`${url}/ann/x/resolve/main/a.bin`)).body)).toBe(oid);
  });
});
