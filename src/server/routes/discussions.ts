/** Pull requests as far as the clients need them: list, look at, open, merge, close. */
import { json } from "../http/answer.ts";
import { optionalString, readJsonObject, stringField } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { queryCount } from "../http/query.ts";
import { belongsTo } from "../identity.ts";
import type { RepoExchange, Route } from "../route.ts";
import { commitTo, emptyRequest } from "../store/commit.ts";
import { mergeInto } from "../store/merge.ts";
import { type PullRequest, pullRef, pullRequests, storePullRequest } from "../store/pull-requests.ts";
import { authorOf, openPullRequest } from "./commit.ts";

export const discussionRoutes: readonly Route[] = [
  { method: "GET", pattern: "{api}/discussions", access: "read", handle: list },
  { method: "POST", pattern: "{api}/discussions", access: "contribute", handle: open },
  { method: "GET", pattern: "{api}/discussions/:number", access: "read", handle: details },
  { method: "POST", pattern: "{api}/discussions/:number/merge", access: "write", handle: merge },
  { method: "POST", pattern: "{api}/discussions/:number/status", access: "contribute", handle: setStatus },
];

const PAGE = 50;

function summary({ number: num, title, status, author: name, createdAt }: PullRequest, exchange: RepoExchange) {
  const { fullName, type } = exchange.repository;
  const author = { name, type: "user" };
  return { num, title, status, author, createdAt, isPullRequest: true, pinned: false, repo: { name: fullName, type } };
}

async function list(exchange: RepoExchange) {
  const all = [...(await pullRequests(exchange.repository))].reverse();
  const start = queryCount(exchange.url, "p", 0, 1_000_000) * PAGE;
  const discussions = all.slice(start, start + PAGE).map((pull) => summary(pull, exchange));
  return json({ discussions, count: all.length, start });
}

async function pullOf({ repository, parameters }: RepoExchange): Promise<PullRequest> {
  const pull = (await pullRequests(repository)).find(({ number }) => String(number) === parameters["number"]);
  if (pull === undefined) throw new HttpError(404, `there is no pull request ${parameters["number"]}`);
  return pull;
}

async function details(exchange: RepoExchange) {
  const pull = await pullOf(exchange);
  const { description: raw, createdAt, author: name } = pull;
  const first = {
    id: `${pull.number}-0`,
    type: "comment",
    author: { name, type: "user" },
    createdAt,
    data: { edited: false, hidden: false, latest: { raw, html: "", updatedAt: createdAt } },
  };
  const changes = { base: "refs/heads/main", filesWithConflicts: false };
  return json({ ...summary(pull, exchange), events: [first], changes, filesWithConflicts: false, diff: "" });
}

async function open(exchange: RepoExchange) {
  const { repository, identity, hub, endpoint } = exchange;
  const body = await readJsonObject(exchange);
  if (body["pullRequest"] !== true) throw new HttpError(400, "there are pull requests here and no other discussions");
  const title = stringField(body, "title");
  const description = optionalString(body, "description") ?? "";
  const target = () => openPullRequest(exchange, "main", title, description);
  const request = emptyRequest(title, description, authorOf(identity));
  const { ref } = await commitTo(repository, target, request, hub.limits.filesPerRevision);
  const num = Number(ref.split("/").pop());
  return json({ num, pullRequest: true, url: `${endpoint}${repository.webPath}/discussions/${num}` });
}

async function merge(exchange: RepoExchange) {
  const { repository, hub, identity } = exchange;
  const pull = await openPullOf(exchange);
  const title = `${pull.title} (#${pull.number})`;
  await repository.write(async () => {
    await mergeInto(repository, "refs/heads/main", pullRef(pull.number), title, authorOf(identity));
    await storePullRequest(repository, hub.scratch, { ...pull, status: "merged" });
  });
  return json({ status: "merged" });
}

async function openPullOf(exchange: RepoExchange): Promise<PullRequest> {
  const pull = await pullOf(exchange);
  if (pull.status !== "open") throw new HttpError(409, `pull request ${pull.number} is ${pull.status}`);
  return pull;
}

async function setStatus(exchange: RepoExchange) {
  const { repository, hub, identity } = exchange;
  const status = stringField(await readJsonObject(exchange), "status");
  const pull = await pullOf(exchange);
  if (status !== "open" && status !== "closed")
    throw new HttpError(400, `a pull request is open or closed, not ${status}`);
  if (pull.status === "merged") throw new HttpError(409, `pull request ${pull.number} is merged`);
  if (!belongsTo(identity, repository.namespace) && pull.author !== identity.name) {
    throw new HttpError(403, `pull request ${pull.number} is ${pull.author}'s`);
  }
  await repository.write(() => storePullRequest(repository, hub.scratch, { ...pull, status }));
  const author = { name: authorOf(identity), type: "user" };
  const event = { id: `${pull.number}-${status}`, type: "status-change", createdAt: new Date().toISOString(), author };
  return json({ newStatus: { ...event, data: { status } } });
}
