/** Files and folders of a revision: listed page by page, or looked up by path. */
import { json } from "../http/answer.ts";
import { jsonObject, objectOf, readBody } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { isTrue, nextLink, queryCount, queryFlag } from "../http/query.ts";
import { pathInfos } from "../path-info.ts";
import type { RepoExchange, Route } from "../route.ts";
import { type RevisionPath, splitRevision } from "../store/revisions.ts";
import { entriesIn, entryAt, type PathEntry } from "../store/trees.ts";

export const treeRoutes: readonly Route[] = [
  { method: "GET", pattern: "{api}/tree/*", access: "read", handle: listTree },
  { method: "POST", pattern: "{api}/paths-info/*", access: "read", handle: pathsInfo },
];

const MAX_PAGE = 1000;
/** Finding last commits is work: fewer of them at once. */
const MAX_EXPANDED = 100;

export function entryNotFound({ commit, revision, path }: RevisionPath): HttpError {
  return new HttpError(404, `${path || "/"} does not exist on "${revision}"`, {
    errorCode: "EntryNotFound",
    headers: { "x-repo-commit": commit },
  });
}

async function listTree({ repository, parameters, url }: RepoExchange) {
  const at = await splitRevision(repository, parameters["rest"] ?? "");
  const { objects } = repository;
  const folder = await entryAt(objects, (await objects.readCommit(at.commit)).tree, at.path);
  if (folder?.kind !== "directory") throw entryNotFound(at);
  const expand = queryFlag(url, "expand");
  const max = expand ? MAX_EXPANDED : MAX_PAGE;
  const limit = Math.max(1, queryCount(url, "limit", max, max));
  const start = queryCount(url, "cursor", 0, Number.MAX_SAFE_INTEGER);
  const page: PathEntry[] = [];
  let seen = 0;
  for await (const entry of entriesIn(objects, folder, queryFlag(url, "recursive"))) {
    if (seen++ < start) continue;
    if (page.length === limit) {
      seen = -1;
      break;
    }
    page.push(entry);
  }
  const next = seen === -1 ? nextLink(url, { cursor: String(start + limit) }) : {};
  return json(await pathInfos(repository, at.commit, page, expand), 200, next);
}

interface PathsWanted {
  readonly paths: readonly string[];
  readonly expand: boolean;
}

/** Paths that do not exist are left out. */
async function pathsInfo(exchange: RepoExchange) {
  const { repository, parameters } = exchange;
  const { objects } = repository;
  const { paths, expand } = await pathsWanted(exchange);
  if (paths.length > MAX_PAGE)
    throw new HttpError(413, `${paths.length} paths were asked for, ${MAX_PAGE} are allowed`);
  const { commit } = await splitRevision(repository, parameters["rest"] ?? "");
  const { tree } = await objects.readCommit(commit);
  const entries: PathEntry[] = [];
  for (const path of paths) {
    const entry = path === "" ? undefined : await entryAt(objects, tree, path);
    if (entry !== undefined) entries.push(entry);
  }
  return json(await pathInfos(repository, commit, entries, expand));
}

/** JSON from the JS client, a form from the Python one. */
async function pathsWanted(exchange: RepoExchange): Promise<PathsWanted> {
  const body = await readBody(exchange);
  if (exchange.request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded")) {
    const form = new URLSearchParams(body.toString("utf8"));
    return { paths: form.getAll("paths"), expand: isTrue(form.get("expand")) };
  }
  const { paths, expand } = objectOf(jsonObject(body, "the body"), "the body");
  const wanted = typeof paths === "string" ? [paths] : paths;
  if (!Array.isArray(wanted) || !wanted.every((path) => typeof path === "string")) {
    throw new HttpError(400, '"paths" is no list of paths');
  }
  return { paths: wanted as readonly string[], expand: expand === true };
}
