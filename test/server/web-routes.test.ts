/** The web page as a browser gets it: what is listed for whom, where its links lead, and what hostile names and cards become. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { request } from "undici";
import { startHub } from "../../src/server/hub-server.ts";

const token = "hf_adaAdaAdaAdaAdaAda";
const stranger = "hf_eveEveEveEveEveEve";

let folder: string;
let hub: Awaited<ReturnType<typeof startHub>>;

async function get(path: string, as?: string, method: "GET" | "HEAD" | "POST" = "GET") {
  const headers = as === undefined ? {} : { authorization: `Bearer ${as}` };
  const answer = await request(new URL(path, hub.url), { method, headers });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

async function post(path: string, body: unknown[], as = token): Promise<Record<string, unknown>> {
  const lines = body.map((line) => JSON.stringify(line)).join("\n");
  const answer = await request(hub.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${as}` },
    body: lines,
  });
  expect(answer.statusCode).toBe(200);
  return (await answer.body.json()) as Record<string, unknown>;
}

function file(path: string, content: string) {
  return { key: "file", value: { path, content: Buffer.from(content).toString("base64"), encoding: "base64" } };
}

const evil = '"><img src=x onerror=alert(1)>.txt';
const card = "---\nlicense: mit\n---\n# A card\n<script>alert(document.cookie)</script>\n[x](javascript:alert(1))\n";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-web-"));
  const tokens = [
    { token, name: "ada", role: "write" as const },
    { token: stranger, name: "eve", role: "write" as const },
  ];
  hub = await startHub({ dir: join(folder, "hub"), port: 0, tokens });
  await post("/api/repos/create", [{ name: "notes" }]);
  await post("/api/repos/create", [{ name: "diary", private: true }]);
  await post("/api/repos/create", [{ name: "rows", type: "dataset" }]);
  await post("/api/models/ada/notes/commit/main", [
    { key: "header", value: { summary: "<b>first</b> & last", description: "x" } },
    file("README.md", card),
    file(evil, "evil"),
    file("a/ü # % ?.txt", "odd"),
  ]);
});
afterAll(async () => {
  await hub.close();
  await rm(folder, { recursive: true });
});

function links(text: string): string[] {
  return [...text.matchAll(/href="([^"]*)"/g)].map(([, href]) =>
    href!.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code)),
  );
}

test("the list has what the caller may read, and nothing else", async () => {
  expect(links((await get("/")).text)).toEqual(["/ada/notes", "/datasets/ada/rows"]);
  expect(links((await get("/", stranger)).text)).toEqual(["/ada/notes", "/datasets/ada/rows"]);
  expect(links((await get("/", token)).text)).toEqual(["/ada/diary", "/ada/notes", "/datasets/ada/rows"]);
  expect((await get("/", "hf_wrongWrongWrongWrong")).status).toBe(401);
});

test("a private repository's page is not there without a token of its namespace", async () => {
  const [anonymous, other, own] = [
    await get("/ada/diary"),
    await get("/ada/diary", stranger),
    await get("/ada/diary", token),
  ];
  const [missing, missingToo] = [await get("/ada/missing"), await get("/ada/missing", stranger)];
  expect([anonymous.status, other.status, own.status]).toEqual([401, 404, 200]);
  expect([anonymous.status, anonymous.text]).toEqual([missing.status, missing.text]);
  expect([other.status, other.text]).toEqual([missingToo.status, missingToo.text]);
});

test("a repository's page: card, files with sizes and digests, commits, all escaped", async () => {
  const { status, text } = await get("/ada/notes");
  expect(status).toBe(200);
  expect(text).not.toMatch(/<script|<img|<b>first|onerror=alert\(1\)>|href="javascript/);
  expect(text).toContain("<h2>A card</h2>");
  expect(text).toContain("&#60;script&#62;alert(document.cookie)&#60;/script&#62;");
  expect(text).not.toContain("license: mit");
  expect(text).toContain("&#60;b&#62;first&#60;/b&#62; &#38; last");
  const digest = createHash("sha1").update("blob 4\0evil").digest("hex");
  expect(text).toContain(`<td>4 B</td><td><code>git-sha1:${digest}</code></td>`);
});

test("every link of a page leads somewhere on this server", async () => {
  const { text } = await get("/ada/notes");
  const found = links(text);
  expect(found.length).toBeGreaterThan(7);
  for (const href of found) {
    expect(href).toMatch(/^\/(?!\/)/);
    expect({ href, status: (await get(href)).status }).toEqual({ href, status: 200 });
  }
  expect((await get(found.find((href) => href.includes("%23"))!)).text).toBe("odd");
  expect((await get(found.find((href) => href.includes("onerror"))!)).text).toBe("evil");
});

test("pages of other revisions, and of none", async () => {
  const { commitOid } = await post("/api/models/ada/notes/commit/main", [
    { key: "header", value: { summary: "more" } },
    file("new.txt", "new"),
  ]);
  expect((await get(`/ada/notes/commit/${commitOid}`)).text).toContain("new.txt");
  expect((await get(`/ada/notes/tree/${commitOid}`)).text).toContain("new.txt");
  expect((await get("/ada/notes/tree/main")).text).toContain("shown: main");
  expect((await get("/ada/notes/tree/missing")).status).toBe(404);
  expect((await get("/datasets/ada/rows")).text).toContain("<small>dataset</small>");
});

test("no scripts, frames, forms or foreign resources; the style sheet is the only one allowed", async () => {
  for (const path of ["/", "/ada/notes"]) {
    const { headers, text } = await get(path);
    const style = /<style>([\s\S]*)<\/style>/.exec(text)![1]!;
    const digest = createHash("sha256").update(style).digest("base64");
    expect(headers["content-security-policy"]).toBe(
      `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(text.match(/<(script|iframe|form|img|link|object|base)\b/)).toBeNull();
  }
});

test("pages are read-only and answer HEAD", async () => {
  expect(await get("/", undefined, "HEAD")).toMatchObject({ status: 200, text: "" });
  expect((await get("/", token, "POST")).status).toBe(405);
  expect((await get("/ada/notes", token, "POST")).status).toBe(405);
});

test("unknown paths are no repositories", async () => {
  for (const path of ["/favicon.ico", "/api/agent-harnesses", "/ada", "/ada/notes/settings"])
    expect((await get(path)).status).toBe(404);
});
