/** The xet endpoint as a client meets it: uploads become LFS objects, lies do not, and nobody reaches another's chunks (case 62). */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { request } from "undici";
import { startHub } from "../../src/server/hub-server.ts";
import { fixture } from "../support/fixtures.ts";
import { chunkBytes, chunkOf, type FileToWrite, lz4Frame, sha256, shardOf } from "./xet-encode.ts";

const MiB = 1 << 20;
const tokens = {
  ada: "hf_adaAdaAdaAdaAdaAda",
  eve: "hf_eveEveEveEveEveEve",
  ron: "hf_ronRonRonRonRonRon",
};

let folder: string;
let hub: Awaited<ReturnType<typeof startHub>>;

function start() {
  return startHub({
    dir: join(folder, "hub"),
    port: 0,
    tokens: [
      { token: tokens.ada, name: "ada", role: "write" },
      { token: tokens.eve, name: "eve", role: "write" },
      { token: tokens.ron, name: "ron", role: "read" },
    ],
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-xet-"));
  hub = await start();
  for (const [name, hidden] of [
    ["open", false],
    ["hidden", true],
  ] as const) {
    const body = JSON.stringify({ name, organization: "ada", private: hidden });
    expect((await call("POST", "/api/repos/create", tokens.ada, body)).status).toBe(200);
  }
});
afterAll(async () => {
  await hub.close();
  await rm(folder, { recursive: true });
});

interface Reply {
  status: number;
  json: Record<string, unknown>;
  bytes: Buffer;
}

async function call(
  method: "GET" | "POST" | "DELETE",
  url: string,
  token?: string,
  body?: Uint8Array | string | Readable,
): Promise<Reply> {
  const headers = { ...(token && { authorization: `Bearer ${token}` }), "content-type": "application/octet-stream" };
  const answer = await request(url.startsWith("/") ? hub.url + url : url, { method, headers, body: body ?? null });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  const isJson = String(answer.headers["content-type"]).includes("json");
  return { status: answer.statusCode, json: isJson ? JSON.parse(bytes.toString()) : {}, bytes };
}

interface Access {
  casUrl: string;
  accessToken: string;
}

async function accessTo(repo: string, token: string = tokens.ada): Promise<Access> {
  const { status, json } = await call("GET", `/api/models/${repo}/xet-write-token/main`, token);
  expect(status).toBe(200);
  return json as unknown as Access;
}

/** Sends a xorb under a name of its own and gives the name. */
async function sendXorb({ casUrl, accessToken }: Access, chunks: Uint8Array[]): Promise<string> {
  const hash = randomBytes(32).toString("hex");
  const reply = await call("POST", `${casUrl}/v1/xorbs/default/${hash}`, accessToken, Buffer.concat(chunks));
  expect(reply).toMatchObject({ status: 200, json: { was_inserted: true } });
  return hash;
}

async function sendShard({ casUrl, accessToken }: Access, ...files: FileToWrite[]): Promise<Reply> {
  return call("POST", `${casUrl}/v1/shards`, accessToken, shardOf(files));
}

async function commit(repo: string, path: string, oid: string): Promise<Reply> {
  const lines = [
    { key: "header", value: { summary: `add ${path}` } },
    { key: "lfsFile", value: { path, algo: "sha256", oid } },
  ];
  const body = lines.map((line) => JSON.stringify(line)).join("\n");
  return call("POST", `/api/models/${repo}/commit/main`, tokens.ada, body);
}

/** What is in the scratch folder beside the stores: nothing, whenever no upload is under way. */
async function leftovers(): Promise<string[]> {
  const names = await readdir(join(folder, "hub", "scratch"));
  return names.filter((name) => !name.startsWith("xorbs-"));
}

const text = Buffer.from("a rose is a rose is a rose is a rose. ".repeat(200));
const floats = Buffer.from(Float32Array.from({ length: 5001 }, (_, i) => Math.sin(i)).buffer);
const noise = randomBytes(100_003);

describe("uploads", () => {
  test("files over ranges of several xorbs become LFS objects that a commit can name", async () => {
    const access = await accessTo("ada/open");
    const first = await sendXorb(access, [chunkOf(noise, 0), chunkOf(text, 1), chunkOf(floats, 2)]);
    const second = await sendXorb(access, [chunkOf(text, 2)]);
    const both = Buffer.concat([text, floats, text, noise]);
    const terms = [
      { xorb: first, bytes: text.length + floats.length, start: 1, end: 3 },
      { xorb: second, bytes: text.length, start: 0, end: 1 },
      { xorb: first, bytes: noise.length, start: 0, end: 1 },
    ];
    const reply = await sendShard(
      access,
      { sha256: sha256(both), terms, verification: true },
      { sha256: sha256(floats), terms: [{ xorb: first, bytes: floats.length, start: 2, end: 3 }] },
    );
    expect(reply).toMatchObject({ status: 200, json: { result: 1 } });
    for (const [path, content] of [
      ["both.bin", both],
      ["floats.bin", floats],
    ] as const) {
      expect((await commit("ada/open", path, sha256(content))).status).toBe(200);
      const { bytes } = await call("GET", `/ada/open/resolve/main/${path}`);
      expect(sha256(bytes)).toBe(sha256(content));
    }
  });

  test("what hf_xet 1.8.0 sent", async () => {
    const access = await accessTo("ada/hidden");
    const xorb = await readFile(fixture("hub-requests", "hf_xet-1.8.0.xorb"));
    const shard = await readFile(fixture("hub-requests", "hf_xet-1.8.0.shard"));
    const hash = "44808b4d39ffec8ff3c74e296362047b77cd6066fe51f7d5f75e8741a67bbc28";
    expect((await call("POST", `${access.casUrl}/v1/xorbs/default/${hash}`, access.accessToken, xorb)).status).toBe(
      200,
    );
    expect((await call("POST", `${access.casUrl}/v1/shards`, access.accessToken, shard)).status).toBe(200);
    // The sha256 of 4096 bytes of numpy's standard_normal and 3 more.
    const oid = "0d511102b56e4d5a8909818fe2993c53fdea72d9d4d36f94eda0108e8467cea5";
    expect((await commit("ada/hidden", "normal.bin", oid)).status).toBe(200);
    const { bytes } = await call("GET", "/ada/hidden/resolve/main/normal.bin", tokens.ada);
    expect(sha256(bytes)).toBe(oid);
  });

  test("what clients can do without is 404, with the connection kept", async () => {
    const { casUrl, accessToken } = await accessTo("ada/open");
    for (const path of ["/v2/shards", `/v1/xorb-grants/default/${"a".repeat(64)}`, "/v1/telemetry"]) {
      expect((await call("POST", casUrl + path, accessToken, Buffer.alloc(3 * MiB))).status).toBe(404);
    }
    expect((await call("GET", `${casUrl}/v1/chunks/default/${"a".repeat(64)}`, accessToken)).status).toBe(404);
    expect((await call("GET", "/api/models/ada/open/xet-read-token/main", tokens.ada)).status).toBe(404);
  });
});

describe("who may upload", () => {
  const hash = "cd".repeat(32);
  const send = ({ casUrl, accessToken }: { casUrl: string; accessToken?: string }) =>
    call("POST", `${casUrl}/v1/xorbs/default/${hash}`, accessToken, chunkOf(text, 1)).then(({ status }) => status);

  test("write tokens only, and private repositories are not there for strangers", async () => {
    const ask = async (repo: string, token?: string) =>
      (await call("GET", `/api/models/${repo}/xet-write-token/main`, token)).status;
    expect(await ask("ada/open")).toBe(401);
    expect(await ask("ada/open", tokens.ron)).toBe(403);
    expect(await ask("ada/hidden", tokens.eve)).toBe(404);
    expect(await ask("ada/hidden")).toBe(401);
    expect(await ask("ada/missing", tokens.ada)).toBe(404);
  });

  test("the token must be one for this very store", async () => {
    const ada = await accessTo("ada/open");
    const hidden = await accessTo("ada/hidden");
    const eve = await accessTo("ada/open", tokens.eve);
    expect(await send(ada)).toBe(200);
    expect(await send({ casUrl: ada.casUrl })).toBe(401);
    expect(await send({ casUrl: ada.casUrl, accessToken: tokens.ada })).toBe(403);
    expect(await send({ casUrl: ada.casUrl, accessToken: `${ada.accessToken.slice(0, -3)}AAA` })).toBe(403);
    expect(await send({ casUrl: ada.casUrl, accessToken: hidden.accessToken })).toBe(404);
    expect(await send({ casUrl: ada.casUrl, accessToken: eve.accessToken })).toBe(404);
    expect(await send({ casUrl: `${hub.url}/_cas/${"0".repeat(36)}`, accessToken: ada.accessToken })).toBe(404);
    expect(await send({ casUrl: `${hub.url}/_cas/..%2F..`, accessToken: ada.accessToken })).toBe(404);
  });

  test("an upload URL for LFS is no xet token", async () => {
    const { casUrl } = await accessTo("ada/open");
    const body = JSON.stringify({ operation: "upload", transfers: ["basic"], objects: [{ oid: hash, size: 5 }] });
    const { json } = await call("POST", "/ada/open.git/info/lfs/objects/batch", tokens.ada, body);
    const { href } = (json as { objects: { actions: { upload: { href: string } } }[] }).objects[0]!.actions.upload;
    expect(await send({ casUrl, accessToken: href.split("/").pop()! })).toBe(403);
  });

  test("nobody builds a file from another's chunks, not even knowing their names (case 63)", async () => {
    const secret = await sendXorb(await accessTo("ada/open"), [chunkOf(noise, 0)]);
    const terms = [{ xorb: secret, bytes: noise.length, start: 0, end: 1 }];
    for (const access of [await accessTo("ada/open", tokens.eve), await accessTo("ada/hidden")]) {
      expect(await sendShard(access, { sha256: sha256(noise), terms })).toMatchObject({
        status: 400,
        json: { error: expect.stringContaining("not uploaded here") },
      });
    }
  });

  test("the same store as long as the server lives, another one after that", async () => {
    const before = await accessTo("ada/open");
    expect((await accessTo("ada/open")).casUrl).toBe(before.casUrl);
    expect((await accessTo("ada/open", tokens.eve)).casUrl).not.toBe(before.casUrl);
    await hub.close();
    hub = await start();
    const after = await accessTo("ada/open");
    expect(new URL(after.casUrl).pathname).not.toBe(new URL(before.casUrl).pathname);
    expect(await send({ ...before, casUrl: hub.url + new URL(before.casUrl).pathname })).toBe(403);
    expect(await send({ ...after, casUrl: hub.url + new URL(before.casUrl).pathname })).toBe(404);
  });
});

test("deleting a repository throws its xorbs away", async () => {
  const stores = async () => (await readdir(join(folder, "hub", "scratch"))).length;
  const before = await stores();
  const where = JSON.stringify({ name: "brief", organization: "ada" });
  expect((await call("POST", "/api/repos/create", tokens.ada, where)).status).toBe(200);
  const access = await accessTo("ada/brief");
  await sendXorb(access, [chunkOf(noise, 0)]);
  expect(await stores()).toBe(before + 1);
  expect((await call("DELETE", "/api/repos/delete", tokens.ada, where)).status).toBe(200);
  expect(await stores()).toBe(before);
  expect((await sendShard(access)).status).toBe(404);
});

describe("case 62: lies", () => {
  const hash = "ef".repeat(32);
  const chunk = chunkOf(text, 0);
  const xorbs: [string, Uint8Array, string][] = [
    ["nothing in it", new Uint8Array(), "empty"],
    ["a chunk past its end", chunk.subarray(0, -1), "runs to byte"],
    ["half a header behind it", Buffer.concat([chunk, chunk.subarray(0, 3)]), "inside the header"],
    ["an unknown scheme", chunkBytes(text, text.length, 7), "scheme 7"],
    ["a chunk of 16 MB", chunkBytes(text, 0xffffff, 1), "16777215 raw bytes"],
    ["stored bytes that are not its raw ones", chunkBytes(text, text.length + 1, 0), "stored and"],
  ];

  test.each(xorbs)("a xorb with %s", async (_, body, message) => {
    const { casUrl, accessToken } = await accessTo("ada/open");
    const reply = await call("POST", `${casUrl}/v1/xorbs/default/${hash}`, accessToken, body);
    expect(reply).toMatchObject({ status: 400, json: { error: expect.stringContaining(message) } });
    expect(await leftovers()).toEqual([]);
  });

  test.each(["", "x", "AB".repeat(32), "..%2F..%2Fhub.json", `${"ab".repeat(32)}%00`])(
    "a xorb called %j",
    async (name) => {
      const { casUrl, accessToken } = await accessTo("ada/open");
      const { status } = await call("POST", `${casUrl}/v1/xorbs/default/${name}`, accessToken, chunk);
      expect([400, 404]).toContain(status);
    },
  );

  test("xorbs and shards beyond 64 MiB, announced or not", async () => {
    const { casUrl, accessToken } = await accessTo("ada/open");
    async function* endless() {
      const zeros = Buffer.alloc(MiB);
      for (let sent = 0; sent < 66; sent++) yield zeros;
    }
    for (const path of [`/v1/xorbs/default/${hash}`, "/v1/shards"]) {
      for (const body of [Buffer.alloc(65 * MiB), Readable.from(endless())]) {
        // The server may close the connection before all is sent.
        const status = await call("POST", casUrl + path, accessToken, body).then(
          (reply) => reply.status,
          (error: { code?: string }) => error.code,
        );
        expect([413, "UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]).toContain(status);
      }
    }
    expect(await leftovers()).toEqual([]);
  });

  test("shards that name what is not there, or something else than they say", async () => {
    const access = await accessTo("ada/open");
    const xorb = await sendXorb(access, [
      chunkOf(text, 1),
      chunkBytes(lz4Frame(text), text.length - 1, 1),
      chunkBytes(lz4Frame(text), text.length + 1, 1),
    ]);
    const content = sha256(Buffer.concat([text, Buffer.from(String(Math.random()))]));
    const whole = { xorb, bytes: text.length, start: 0, end: 1 };
    const lies: [string, FileToWrite["terms"], number][] = [
      ["of a xorb of 3", [{ ...whole, end: 4 }], 400],
      ["of a xorb of 3", [{ ...whole, start: 3, end: 0xffffffff }], 400],
      ["not uploaded here", [{ ...whole, xorb: "0".repeat(64) }], 400],
      [`decodes to ${text.length}`, [{ ...whole, bytes: text.length + 1 }], 400],
      ["longer than", [{ ...whole, bytes: text.length - 1 }], 413],
      ["more than the", [{ ...whole, start: 1, end: 2 }], 400],
      ["holds", [{ ...whole, start: 2, end: 3 }], 400],
      ["sha256", [whole], 400],
      ["sha256", [], 400],
      ["are allowed", Array(20).fill({ ...whole, bytes: 0xffffffff }), 413],
    ];
    for (const [message, terms, status] of lies) {
      const reply = await sendShard(access, { sha256: content, terms });
      expect({ message, ...reply }).toMatchObject({ status, json: { error: expect.stringContaining(message) } });
    }
    expect((await commit("ada/open", "lie.bin", content)).status).toBe(400);
    expect(await leftovers()).toEqual([]);
  });

  test("one lie in a shard: the files before it are kept, it is not", async () => {
    const access = await accessTo("ada/open");
    const fresh = randomBytes(1000);
    const xorb = await sendXorb(access, [chunkOf(fresh, 0)]);
    const terms = [{ xorb, bytes: 1000, start: 0, end: 1 }];
    const reply = await sendShard(access, { sha256: sha256(fresh), terms }, { sha256: "0".repeat(64), terms });
    expect(reply.status).toBe(400);
    expect((await commit("ada/open", "true.bin", sha256(fresh))).status).toBe(200);
    expect((await commit("ada/open", "false.bin", "0".repeat(64))).status).toBe(400);
  });
});
