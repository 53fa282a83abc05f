/** A Hub of the tests' own on loopback: honest unless a test replaces one of its answers. Shares no code with vene. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type HubEnvironment, hubEnvironment } from "../../src/hub/environment.ts";

export type Answer = (request: IncomingMessage, response: ServerResponse, hub: HostileHub) => void;

export interface HostileFile {
  readonly content: Buffer;
  readonly lfs: boolean;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** git's id of a blob. */
export function gitId(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export function sha256Hex(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

export class HostileHub {
  readonly repo = "lab/honest";
  commit = COMMIT;
  readonly files = new Map<string, HostileFile>();
  /** Answers by what they are for, in place of the honest ones. */
  readonly instead: { revision?: Answer; tree?: Answer; resolve?: Answer } = {};
  /** "GET /api/..." of every request, with the headers. */
  readonly seen: { readonly line: string; readonly headers: IncomingMessage["headers"] }[] = [];
  url = "";
  #server: Server | undefined;

  /** A file of the repository; in LFS if told. */
  put(path: string, content: Buffer | string, lfs = false): void {
    this.files.set(path, { content: Buffer.from(content), lfs });
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((done) => this.#server!.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  /** An environment whose Hub is this one, with short pauses and timeouts. */
  environment(cacheFolder: string, changes: Partial<HubEnvironment> = {}): HubEnvironment {
    const usual = hubEnvironment({ endpoint: this.url, cacheFolder, token: "secret-token" }, { HOME: "/nowhere" });
    return { ...usual, retryDelayMs: 1, longestWaitMs: 50, downloadTimeoutMs: 300, etagTimeoutMs: 2000, ...changes };
  }

  /** Requests for files' bytes. */
  get fetched(): readonly string[] {
    return this.seen.filter(({ line }) => line.includes("/resolve/")).map(({ line }) => line);
  }

  entry(path: string): Record<string, unknown> {
    const { content, lfs } = this.files.get(path)!;
    const pointer = Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256Hex(content)}\n`);
    return {
      type: "file",
      path,
      size: content.length,
      oid: gitId(lfs ? pointer : content),
      ...(lfs ? { lfs: { oid: sha256Hex(content), size: content.length, pointerSize: pointer.length } } : {}),
    };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? "";
    this.seen.push({ line: `${request.method} ${url}`, headers: request.headers });
    const kind = /\/(revision|tree|resolve)\//.exec(url)?.[1] as keyof HostileHub["instead"] | undefined;
    if (kind === undefined) return void response.writeHead(404).end();
    (this.instead[kind] ?? honest[kind])(request, response, this);
  }
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** The file a resolve URL names. */
export function fileOf(request: IncomingMessage, hub: HostileHub): HostileFile | undefined {
  const path = /\/resolve\/[^/]+\/(.*)$/.exec(request.url ?? "")?.[1] ?? "";
  return hub.files.get(decodeURIComponent(path));
}

export const honest: Readonly<Record<"revision" | "tree" | "resolve", Answer>> = {
  revision: (request, response, hub) => {
    const asked = decodeURIComponent(/\/revision\/(.*)$/.exec(request.url ?? "")?.[1] ?? "");
    if (asked === "main" || asked === "v1" || asked === "refs/pr/1") return sendJson(response, { sha: hub.commit });
    response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
  },
  tree: (_, response, hub) =>
    sendJson(
      response,
      [...hub.files.keys()].map((path) => hub.entry(path)),
    ),
  resolve: (request, response, hub) => {
    const file = fileOf(request, hub);
    if (file === undefined) return void response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
    const { content, lfs } = file;
    const etag = `"${lfs ? sha256Hex(content) : gitId(content)}"`;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const start = range !== null && request.headers["if-range"] === etag ? Number(range[1]) : 0;
    const headers = { etag, "x-repo-commit": hub.commit, "content-length": content.length - start };
    if (start === 0) return void response.writeHead(200, headers).end(content);
    const end = content.length;
    response
      .writeHead(206, { ...headers, "content-range": `bytes ${start}-${end - 1}/${end}` })
      .end(content.subarray(start));
  },
};
