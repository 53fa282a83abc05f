/** What the embedded Hub answers, header by header: the contract that the official clients rest on. */
import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { ann, ask, bob, commitBody, fileLine, hub, type Reply, reader, root, type Sent } from "./places.ts";

let url: string;
const get = (path: string, sent: Sent = {}) => ask(url + path, { token: ann.token, ...sent });
const post = (path: string, body: Sent["body"], sent: Sent = {}) => get(path, { method: "POST", body, ...sent });
const statuses = (replies: readonly Reply[]) => replies.map(({ status }) => status);
const large = Buffer.alloc(300_000, "large ");
const sha256 = createHash("sha256").update(large).digest("hex");

async function upload(repo: string, content: Buffer, user = ann) {
  const oid = createHash("sha256").update(content).digest("hex");
  const objects = [{ oid, size: content.length }];
  const batch = await post(`/${repo}.git/info/lfs/objects/batch`, { operation: "upload", objects }, user);
  const { href } = batch.json.objects[0].actions.upload;
  return ask(href, { method: "PUT", body: content });
}

const lfsLine = (path: string, content: Buffer) => ({
  key: "lfsFile",
  value: { path, algo: "sha256", oid: createHash("sha256").update(content).digest("hex"), size: content.length },
});

beforeAll(async () => {
  ({ url } = await hub());
  for (const [name, isPrivate] of [
    ["open", false],
    ["hidden", true],
  ] as const) {
    expect((await post("/api/repos/create", { name, private: isPrivate })).status).toBe(200);
    await upload(`ann/${name}`, large);
    const lines = [fileLine("dir/a b#c?.txt", "odd"), fileLine("text.txt", "0123456789"), lfsLine("large.bin", large)];
    expect(
      (await post(`/api/models/ann/${name}/commit/main`, commitBody([...lines, fileLine("empty", "")]))).status,
    ).toBe(200);
  }
});

describe("who may see and do what", () => {
  test("a private or missing repository is the same to strangers: 401 without, 404 with a token", async () => {
    for (const name of ["hidden", "missing"]) {
      for (const path of [
        `/api/models/ann/${name}`,
        `/ann/${name}/resolve/main/text.txt`,
        `/api/models/ann/${name}/refs`,
      ]) {
        for (const [token, status] of [
          [undefined, 401],
          [bob.token, 404],
          [reader.token, 404],
        ] as const) {
          const reply = await get(path, { token });
          expect([reply.status, reply.headers["x-error-code"]]).toEqual([status, "RepoNotFound"]);
          expect(reply.json).toEqual({ error: "Repository not found" });
        }
      }
      expect((await post(`/api/models/ann/${name}/commit/main`, "", { token: bob.token })).status).toBe(404);
    }
    expect((await get("/api/models/ann/hidden", { token: root.token })).json).toMatchObject({ private: true });
  });

  test("a token that is none of ours is told so, without a code", async () => {
    const reply = await get("/api/models/ann/open", { token: "hf_wrongwrongwrongwrong" });
    expect(reply.status).toBe(401);
    expect(reply.headers["x-error-message"]).toBe("Invalid credentials in Authorization header");
    expect(reply.headers["x-error-code"]).toBeUndefined();
  });

  test("writing needs a token, a role and the namespace", async () => {
    const body = commitBody([fileLine("x", "x")]);
    const commit = (token: string | undefined) => post("/api/models/ann/open/commit/main", body, { token });
    expect(statuses([await commit(undefined), await commit(bob.token), await commit(reader.token)])).toEqual([
      401, 403, 403,
    ]);
    const create = (token: string | undefined, name: string) => post("/api/repos/create", { name }, { token });
    const created = [await create(undefined, "x"), await create(reader.token, "x"), await create(bob.token, "ann/x")];
    expect(statuses(created)).toEqual([401, 403, 403]);
    expect((await get("/api/whoami-v2", { token: undefined })).status).toBe(401);
  });

  test("only an administrator makes repositories everywhere", async () => {
    const reply = await post(
      "/api/repos/create",
      { name: "thing", organization: "lab", type: "dataset" },
      { token: root.token },
    );
    expect(reply.json).toMatchObject({ url: `${url}/datasets/lab/thing`, name: "lab/thing" });
    const again = await post(
      "/api/repos/create",
      { name: "Thing", organization: "lab", type: "dataset" },
      { token: root.token },
    );
    expect([again.status, again.json.url]).toEqual([409, `${url}/datasets/lab/Thing`]);
  });

  test("gated files are for members", async () => {
    await post("/api/repos/create", { name: "gated" });
    const set = await get("/api/models/ann/gated/settings", { method: "PUT", body: { gated: "manual" } });
    expect(set.json).toEqual({ private: false, gated: "manual" });
    const read = (token: string | undefined) => get("/ann/gated/resolve/main/.gitattributes", { token });
    const replies = [await read(undefined), await read(bob.token), await read(ann.token)];
    expect(replies.map(({ status, headers }) => [status, headers["x-error-code"]])).toEqual([
      [401, "GatedRepo"],
      [403, "GatedRepo"],
      [200, undefined],
    ]);
  });

  test("names that cannot be", async () => {
    const names = [
      "a--b",
      "a..b",
      ".a",
      "a.",
      "-a",
      "a-",
      "a.git",
      "a b",
      "ä",
      "a".repeat(97),
      "api/x",
      "ann/x/y",
      "",
      "../x",
    ];
    for (const name of names) {
      expect([name, (await post("/api/repos/create", { name }, { token: root.token })).status]).toEqual([name, 400]);
    }
  });
});

describe("files", () => {
  const file = (name: string, headers = {}, method = "GET") =>
    get(`/ann/open/resolve/main/${name}`, { headers, method });

  test("HEAD and GET say the same: commit, etag, length, and where large files are linked", async () => {
    const sha = (await get("/api/models/ann/open")).json.sha;
    for (const method of ["HEAD", "GET"]) {
      const text = await file("text.txt", {}, method);
      expect(text).toMatchObject({
        status: 200,
        headers: {
          "x-repo-commit": sha,
          etag: '"ad471007bd7f5983d273b9584e5629230150fd54"',
          "content-length": "10",
          "accept-ranges": "bytes",
          "x-content-type-options": "nosniff",
        },
      });
      expect(text.headers["x-linked-etag"]).toBeUndefined();
      expect(text.body.toString()).toBe(method === "HEAD" ? "" : "0123456789");
      expect((await file("large.bin", {}, method)).headers).toMatchObject({
        etag: `"${sha256}"`,
        "x-linked-etag": `"${sha256}"`,
        "x-linked-size": "300000",
        "content-length": "300000",
      });
    }
    expect((await file("large.bin")).body.equals(large)).toBe(true);
    expect((await get("/ann/open/raw/main/large.bin")).body.toString()).toContain(
      `oid sha256:${sha256}\nsize 300000\n`,
    );
  });

  test("ranges", async () => {
    const range = async (value: string, headers = {}) => {
      const { status, headers: got, body } = await file("text.txt", { range: value, ...headers });
      return [status, got["content-range"], body.toString()];
    };
    expect(await range("bytes=2-4")).toEqual([206, "bytes 2-4/10", "234"]);
    expect(await range("bytes=8-")).toEqual([206, "bytes 8-9/10", "89"]);
    expect(await range("bytes=-3")).toEqual([206, "bytes 7-9/10", "789"]);
    expect(await range("bytes=0-999")).toEqual([206, "bytes 0-9/10", "0123456789"]);
    expect(await range("bytes=10-")).toEqual([416, "bytes */10", ""]);
    for (const ignored of ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b", "bytes=1e3-"]) {
      expect(await range(ignored)).toEqual([200, undefined, "0123456789"]);
    }
    expect(await range("bytes=0-0", { "if-range": '"other"' })).toEqual([200, undefined, "0123456789"]);
    expect(await range("bytes=0-0", { "if-range": '"ad471007bd7f5983d273b9584e5629230150fd54"' })).toEqual([
      206,
      "bytes 0-0/10",
      "0",
    ]);
    const tail = await file("large.bin", { range: "bytes=299990-" });
    expect(tail.body.equals(large.subarray(299_990))).toBe(true);
    const none = await file("empty", { range: "bytes=0-0" });
    expect([none.status, none.headers["content-length"], none.headers["content-range"]]).toEqual([
      200,
      "0",
      "bytes 0-0/0",
    ]);
  });

  test("If-None-Match", async () => {
    const same = await file("large.bin", { "if-none-match": `W/"x", "${sha256}"` });
    expect([same.status, same.body.length, same.headers["etag"]]).toEqual([304, 0, `"${sha256}"`]);
    expect((await file("large.bin", { "if-none-match": '"other"' })).status).toBe(200);
  });

  test("what is absent: the commit is named all the same", async () => {
    const missing = await file("nowhere.txt");
    expect(missing).toMatchObject({ status: 404, headers: { "x-error-code": "EntryNotFound" } });
    expect(missing.headers["x-repo-commit"]).toMatch(/^[0-9a-f]{40}$/);
    expect((await file("dir")).headers["x-error-code"]).toBe("EntryNotFound");
    const revision = await get("/ann/open/resolve/nowhere/text.txt");
    expect(revision).toMatchObject({ status: 404, headers: { "x-error-code": "RevisionNotFound" } });
  });

  test("odd names, encoded; broken encoding is refused", async () => {
    const odd = await file("dir/a%20b%23c%3F.txt");
    expect(odd.body.toString()).toBe("odd");
    expect(odd.headers["content-disposition"]).toContain("filename*=UTF-8''a%20b%23c%3F.txt");
    expect((await file("dir%2Fa%20b%23c%3F.txt")).body.toString()).toBe("odd");
    expect((await file("%E0%A4%A")).status).toBe(400);
    expect(statuses([await file("..%2f..%2fhub.json"), await file("%2e%2e/%2e%2e/hub.json")])).toEqual([404, 404]);
  });
});

describe("the API", () => {
  test("paths-info takes JSON and forms", async () => {
    const form = await post("/api/models/ann/open/paths-info/main", "paths=text.txt&paths=nope&expand=true", {
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    const json = await post("/api/models/ann/open/paths-info/main", { paths: ["text.txt", "nope"], expand: true });
    expect(form.json).toEqual(json.json);
    expect(form.json).toMatchObject([{ path: "text.txt", type: "file", size: 10, lastCommit: { title: "a commit" } }]);
    expect((await post("/api/models/ann/open/paths-info/main", "[1]")).status).toBe(400);
  });

  test("pages of a tree link to the next by absolute address, to the end", async () => {
    let next: string | undefined = `${url}/api/models/ann/open/tree/main?recursive=true&limit=2`;
    const paths: string[] = [];
    for (let pages = 0; next !== undefined && pages < 10; pages++) {
      const page: Reply = await ask(next);
      paths.push(...page.json.map(({ path }: { path: string }) => path));
      next = /^<(.*)>; rel="next"$/.exec(page.headers["link"] ?? "")?.[1];
    }
    expect(paths).toEqual([".gitattributes", "dir", "dir/a b#c?.txt", "empty", "large.bin", "text.txt"]);
    expect(JSON.stringify((await get("/api/models/ann/open/tree/main?expand=true")).json)).not.toContain("xetHash");
  });

  test("preupload says what is large, what is there, and never ignores", async () => {
    const files = [
      { path: "text.txt", size: 10, sample: "" },
      { path: "large.bin", size: 5, sample: "" },
      { path: "new.txt", size: 11 << 20, sample: "" },
      { path: "zero.safetensors", size: 0, sample: "" },
    ];
    expect((await post("/api/models/ann/open/preupload/main", { files })).json.files).toEqual([
      { path: "text.txt", uploadMode: "regular", shouldIgnore: false, oid: "ad471007bd7f5983d273b9584e5629230150fd54" },
      { path: "large.bin", uploadMode: "lfs", shouldIgnore: false, oid: sha256 },
      { path: "new.txt", uploadMode: "lfs", shouldIgnore: false },
      { path: "zero.safetensors", uploadMode: "regular", shouldIgnore: false },
    ]);
  });

  test("an object that is stored needs no upload; verify says which are", async () => {
    const objects = [{ oid: sha256, size: large.length }];
    const batch = await post("/ann/open.git/info/lfs/objects/batch", { operation: "upload", objects });
    expect(batch.headers["content-type"]).toBe("application/vnd.git-lfs+json");
    expect(batch.json).toMatchObject({ transfer: "basic", objects: [{ oid: sha256, size: 300_000 }] });
    expect(batch.json.objects[0].actions).toBeUndefined();
    const verify = (size: number) => post("/ann/open.git/info/lfs/objects/verify", { oid: sha256, size });
    expect(statuses([await verify(300_000), await verify(1)])).toEqual([200, 404]);
  });

  test("validate-yaml always answers in JSON", async () => {
    const check = (content: string) => post("/api/validate-yaml", { content, repoType: "model" });
    expect((await check("---\nlicense: mit\n---\n")).json).toEqual({ errors: [], warnings: [] });
    for (const bad of ["---\na: [\n---\n", "---\na: 1\na: 2\n---\n", "---\n- list\n---\n"]) {
      const reply = await check(bad);
      expect([reply.status, reply.json.errors.length > 0]).toEqual([400, true]);
    }
    const bomb = `---\na: &a [x]\n${Array.from({ length: 20 }, (_, i) => `b${i}: &b${i} [${`*${i === 0 ? "a" : `b${i - 1}`},`.repeat(9)}]`).join("\n")}\n---\n`;
    expect((await check(bomb)).status).toBe(400);
  });

  test("revisions with slashes, raw and encoded; commits by the start of their ids; tags; refs", async () => {
    const { sha } = (await get("/api/models/ann/open")).json;
    await post("/api/models/ann/open/branch/exp%2F1", { startingPoint: sha.slice(0, 10) });
    await post("/api/models/ann/open/tag/main", { tag: "v1/a", message: "m" });
    const found = [
      "exp/1",
      "exp%2F1",
      "refs%2Fheads%2Fexp%2F1",
      "refs/heads/main",
      "HEAD",
      "v1/a",
      sha,
      sha.slice(0, 7),
    ];
    for (const revision of found) {
      expect([revision, (await get(`/ann/open/resolve/${revision}/text.txt`)).body.toString()]).toEqual([
        revision,
        "0123456789",
      ]);
      expect((await get(`/api/models/ann/open/revision/${revision}`)).json.sha).toBe(sha);
    }
    expect((await post("/api/models/ann/open/commit/v1%2Fa", commitBody([fileLine("x", "x")]))).status).toBe(400);
    expect((await get("/api/models/ann/open/refs?include_prs=1")).json).toEqual({
      branches: [
        { name: "exp/1", ref: "refs/heads/exp/1", targetCommit: sha },
        { name: "main", ref: "refs/heads/main", targetCommit: sha },
      ],
      converts: [],
      tags: [{ name: "v1/a", ref: "refs/tags/v1/a", targetCommit: sha }],
      pullRequests: [],
    });
    for (const bad of ["a b", "-x", "a..b", "HEAD", "x.lock", "refs/heads/y", "0".repeat(40), "a/"]) {
      expect([bad, (await post("/api/models/ann/open/tag/main", { tag: bad })).status]).toEqual([bad, 400]);
    }
    expect((await get("/api/models/ann/open/tag/v1%2Fa", { method: "DELETE" })).status).toBe(200);
    expect((await get("/api/models/ann/open/tag/v1%2Fa", { method: "DELETE" })).headers["x-error-code"]).toBe(
      "RevisionNotFound",
    );
  });

  test("moving keeps everything; the old name is gone", async () => {
    await post("/api/repos/create", { name: "before" });
    await post("/api/models/ann/before/commit/main", commitBody([fileLine("kept", "yes")]));
    expect((await post("/api/repos/move", { fromRepo: "ann/before", toRepo: "ann/after", type: "model" })).status).toBe(
      200,
    );
    expect((await get("/ann/after/resolve/main/kept")).body.toString()).toBe("yes");
    expect((await get("/ann/before/resolve/main/kept")).headers["x-error-code"]).toBe("RepoNotFound");
    expect((await post("/api/repos/move", { fromRepo: "ann/after", toRepo: "bob/after" })).status).toBe(403);
  });

  test("other addresses and methods", async () => {
    expect((await get("/api/agent-harnesses")).json).toEqual({ error: "there is no /api/agent-harnesses here" });
    const wrong = await get("/api/repos/create");
    expect([wrong.status, wrong.headers["allow"]]).toEqual([405, "POST"]);
    expect((await get("/", { method: "OPTIONS" })).headers["access-control-allow-origin"]).toBeUndefined();
    expect((await get("/api/models/ann/open")).headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });
});

test("read-only: everything can be read and nothing changed", async () => {
  const writable = await hub();
  await ask(`${writable.url}/api/repos/create`, { method: "POST", token: ann.token, body: { name: "kept" } });
  await writable.close();
  const { url: frozen } = await hub({ dir: writable.dir, readOnly: true });
  const send = (method: string, path: string, body: object = {}) =>
    ask(frozen + path, { method, token: ann.token, body });
  const refused = [
    await send("POST", "/api/repos/create", { name: "new" }),
    await send("DELETE", "/api/repos/delete", { name: "kept" }),
    await send("POST", "/api/models/ann/kept/commit/main"),
    await send("POST", "/api/models/ann/kept/branch/b"),
    await send("PUT", "/api/models/ann/kept/settings"),
    await send("POST", "/ann/kept.git/info/lfs/objects/batch"),
    await send("PUT", "/_lfs/x"),
  ];
  expect(statuses(refused)).toEqual(refused.map(() => 403));
  expect((await send("GET", "/ann/kept/resolve/main/.gitattributes")).status).toBe(200);
  expect((await send("POST", "/api/models/ann/kept/paths-info/main", { paths: [".gitattributes"] })).json).toHaveLength(
    1,
  );
});
