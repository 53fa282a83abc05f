/** One repository's description, and finding repositories. */
import { mayRead } from "../access.ts";
import { cardAt, tagsOf } from "../card.ts";
import { json } from "../http/answer.ts";
import { nextLink, queryCount, queryFlag } from "../http/query.ts";
import { repoNameOf } from "../repo-address.ts";
import { repoInfo } from "../repo-info.ts";
import type { Exchange, RepoExchange, Route } from "../route.ts";
import type { Repository } from "../store/repository.ts";
import { resolveRevision, splitRevision } from "../store/revisions.ts";

export const infoRoutes: readonly Route[] = [
  ...["/api/models", "/api/datasets", "/api/spaces"].map(
    (pattern): Route => ({ method: "GET", pattern, access: "open", handle: listRepos }),
  ),
  { method: "GET", pattern: "{api}", access: "read", handle: async (exchange) => info(exchange, "main") },
  {
    method: "GET",
    pattern: "{api}/revision/*",
    access: "read",
    handle: async (exchange) => info(exchange, await revisionOf(exchange)),
  },
];

async function revisionOf({ repository, parameters }: RepoExchange): Promise<string> {
  return (await splitRevision(repository, parameters["rest"] ?? "")).commit;
}

async function info({ repository, url }: RepoExchange, revision: string) {
  const commit = await resolveRevision(repository, revision);
  return json(await repoInfo(repository, commit, { siblings: true, blobs: queryFlag(url, "blobs") }));
}

const MAX_LISTED = 1000;

/** `search`, `author` and repeated `filter` (tags) narrow the list; `cursor` is how many came before. */
async function listRepos({ hub, url, identity }: Exchange) {
  const { type } = repoNameOf({ types: url.pathname.split("/")[2]! });
  const sorted = hub.repositories
    .list()
    .filter((repository) => repository.type === type && mayRead(identity, repository) && matches(repository, url))
    .sort(orders[url.searchParams.get("sort") === "createdAt" ? "createdAt" : "name"]);
  const limit = queryCount(url, "limit", MAX_LISTED, MAX_LISTED);
  const start = queryCount(url, "cursor", 0, Number.MAX_SAFE_INTEGER);
  const found: Repository[] = [];
  for (const repository of sorted)
    if (await hasTags(repository, url.searchParams.getAll("filter"))) found.push(repository);
  const siblings = queryFlag(url, "full") || url.searchParams.getAll("expand").includes("siblings");
  const page = found.slice(start, start + limit);
  const infos = await Promise.all(page.map((one) => repoInfo(one, one.head!, { siblings, blobs: false })));
  const more = start + page.length < found.length && page.length > 0;
  return json(infos, 200, more ? nextLink(url, { cursor: String(start + page.length) }) : {});
}

const orders = {
  name: (a: Repository, b: Repository) => (a.fullName < b.fullName ? -1 : 1),
  createdAt: (a: Repository, b: Repository) => (a.createdAt > b.createdAt ? -1 : 1),
} as const;

function matches(repository: Repository, { searchParams }: URL): boolean {
  const author = searchParams.get("author");
  const search = searchParams.get("search");
  return (
    (author === null || author === repository.namespace) &&
    (search === null || repository.fullName.toLowerCase().includes(search.toLowerCase()))
  );
}

async function hasTags(repository: Repository, filters: readonly string[]): Promise<boolean> {
  if (filters.length === 0) return true;
  const tags = tagsOf(await cardAt(repository, repository.head!));
  return filters.flatMap((filter) => filter.split(",")).every((filter) => tags.includes(filter));
}
