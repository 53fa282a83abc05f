/** The commits of a revision, page by page. */
import { json } from "../http/answer.ts";
import { nextLink, queryCount } from "../http/query.ts";
import type { RepoExchange, Route } from "../route.ts";
import { splitMessage } from "../store/git-objects.ts";
import { type HistoryEntry, history } from "../store/history.ts";
import { splitRevision } from "../store/revisions.ts";

export const historyRoutes: readonly Route[] = [
  { method: "GET", pattern: "{api}/commits/*", access: "read", handle: listCommits },
];

const MAX_PAGE = 1000;
const DEFAULT_PAGE = 50;

async function listCommits({ repository, parameters, url }: RepoExchange) {
  const { commit } = await splitRevision(repository, parameters["rest"] ?? "");
  const limit = Math.max(1, queryCount(url, "limit", DEFAULT_PAGE, MAX_PAGE));
  const page = queryCount(url, "p", 0, 1_000_000);
  const shown: HistoryEntry[] = [];
  let total = 0;
  for await (const entry of history(repository.objects, commit)) {
    if (Math.floor(total++ / limit) === page) shown.push(entry);
  }
  const more = (page + 1) * limit < total;
  const headers = { "x-total-count": String(total), ...(more && nextLink(url, { p: String(page + 1) })) };
  return json(shown.map(commitJson), 200, headers);
}

function commitJson({ oid, message, author, time }: HistoryEntry) {
  const { title, description } = splitMessage(message);
  const date = new Date(time * 1000).toISOString();
  return { id: oid, title, message: description, authors: [{ user: author, avatar: "" }], date };
}
