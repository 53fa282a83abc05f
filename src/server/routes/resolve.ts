/** The content of files: whole, in ranges, or only if it is another than the client has. */
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { type Answer, empty } from "../http/answer.ts";
import { HttpError } from "../http/http-error.ts";
import { readRange } from "../http/range.ts";
import { belongsTo } from "../identity.ts";
import type { RepoExchange, Route } from "../route.ts";
import { type RevisionPath, splitRevision } from "../store/revisions.ts";
import { entryAt } from "../store/trees.ts";
import { entryNotFound } from "./tree.ts";

export const resolveRoutes: readonly Route[] = [
  { method: "GET", pattern: "{web}/resolve/*", access: "read", handle: async (exchange) => serve(exchange, true) },
  { method: "GET", pattern: "{web}/raw/*", access: "read", handle: async (exchange) => serve(exchange, false) },
];

/** Bytes that can be read from any place. */
interface Content {
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly isLarge: boolean;
  readonly open: (start: number, end: number) => Uint8Array | (() => Readable);
}

/** `follow`: give the large file, not the pointer to it. */
async function serve(exchange: RepoExchange, follow: boolean): Promise<Answer> {
  const { repository, parameters, request } = exchange;
  demandUngated(exchange);
  const at = await splitRevision(repository, parameters["rest"] ?? "");
  const content = await contentOf(exchange, at, follow);
  const name = at.path.split("/").pop()!;
  const headers = {
    "x-repo-commit": at.commit,
    etag: `"${content.etag}"`,
    "accept-ranges": "bytes",
    "cache-control": "no-cache",
    vary: "authorization",
    "content-type": content.isLarge ? "application/octet-stream" : "text/plain; charset=utf-8",
    "content-disposition": `inline; filename*=UTF-8''${encodeName(name)}; filename="${name.replace(/[^ -!#-[\]-~]/g, "_")}";`,
    ...(content.isLarge && { "x-linked-etag": `"${content.etag}"`, "x-linked-size": String(content.size) }),
  };
  if (matches(request.headers["if-none-match"], content.etag)) return { status: 304, headers, body: undefined };
  return ranged(content, headers, rangeHeader(exchange, content.etag));
}

/** Files of a gated repository are for its members only: nobody else can be granted access here. */
function demandUngated({ repository, identity }: RepoExchange): void {
  if (repository.gated === false || belongsTo(identity, repository.namespace)) return;
  const message = `Access to ${repository.type} ${repository.fullName} is restricted`;
  throw new HttpError(identity.name === undefined ? 401 : 403, message, { errorCode: "GatedRepo" });
}

async function contentOf({ hub, repository }: RepoExchange, at: RevisionPath, follow: boolean): Promise<Content> {
  const { objects } = repository;
  const entry = await entryAt(objects, (await objects.readCommit(at.commit)).tree, at.path);
  if (entry?.kind !== "file") throw entryNotFound(at);
  const { lfs } = await objects.blobFacts(entry.oid);
  if (lfs !== undefined && follow) {
    const path = hub.lfs.pathOf(repository, lfs.sha256);
    const open = (start: number, end: number) => () =>
      createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 18 });
    return { size: lfs.size, etag: lfs.sha256, isLarge: true, open };
  }
  const bytes = await objects.readBlob(entry.oid);
  return { size: bytes.length, etag: entry.oid, isLarge: false, open: (start, end) => bytes.subarray(start, end) };
}

/** With `If-Range`, a range counts only while the file is the same. */
function rangeHeader({ request }: RepoExchange, etag: string): string | undefined {
  const condition = request.headers["if-range"];
  return condition === undefined || condition === `"${etag}"` ? request.headers.range : undefined;
}

function ranged(content: Content, headers: Readonly<Record<string, string>>, header: string | undefined): Answer {
  const { size } = content;
  const range = readRange(header, size);
  if (range === "unsatisfiable" && size > 0) {
    return empty(416, { ...headers, "content-range": `bytes */${size}` });
  }
  // An empty file has no range at all, but the JS client reads the size from this header.
  if (range === "unsatisfiable") return empty(200, { ...headers, "content-range": "bytes 0-0/0" });
  const { start, end } = range ?? { start: 0, end: size };
  const part = range === undefined ? {} : { "content-range": `bytes ${start}-${end - 1}/${size}` };
  return {
    status: range === undefined ? 200 : 206,
    headers: { ...headers, ...part, "content-length": String(end - start) },
    body: size === 0 ? undefined : content.open(start, end),
  };
}

function matches(header: string | undefined, etag: string): boolean {
  const given = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return given.includes(`"${etag}"`) || given.includes(etag);
}

function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
