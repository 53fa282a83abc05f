/** Commits: onto a branch, onto a pull request, or as a new pull request. */
import { notSignedIn } from "../access.ts";
import { receiveCommit } from "../commit-lines.ts";
import { json } from "../http/answer.ts";
import { bodyOf, refuseLonger } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { readLines } from "../http/lines.ts";
import { queryFlag } from "../http/query.ts";
import { belongsTo, type Identity } from "../identity.ts";
import type { RepoExchange, Route } from "../route.ts";
import { type CommitTarget, commitTo } from "../store/commit.ts";
import { nextPullNumber, pullRef, pullRequests, storePullRequest } from "../store/pull-requests.ts";
import type { Repository } from "../store/repository.ts";
import { refNamed, resolveRevision, revisionNotFound, splitRevision } from "../store/revisions.ts";

export const commitRoutes: readonly Route[] = [
  { method: "POST", pattern: "{api}/commit/*", access: "contribute", handle: commit },
];

async function commit(exchange: RepoExchange) {
  const { hub, repository, request, url, parameters, identity, endpoint } = exchange;
  const { revision } = await splitRevision(repository, parameters["rest"] ?? "");
  const asPullRequest = queryFlag(url, "create_pr");
  if (!asPullRequest) await demandPush(repository, revision, identity);
  const { commitLineBytes: line, commitBytes: body } = hub.limits;
  refuseLonger(request, body);
  const lines = await receiveCommit(readLines(bodyOf(request), { line, body }), hub, repository);
  const author = authorOf(identity);
  const target = asPullRequest
    ? () => openPullRequest(exchange, revision, lines.title, lines.description)
    : () => existingTarget(repository, revision);
  const { oid, ref } = await commitTo(repository, target, { ...lines, author }, hub.limits.filesPerRevision);
  const home = `${endpoint}${repository.webPath}`;
  return json({
    success: true,
    commitOid: oid,
    commitUrl: `${home}/commit/${oid}`,
    hookOutput: "",
    ...(asPullRequest && { pullRequestUrl: `${home}/discussions/${ref.split("/").pop()}` }),
  });
}

export function authorOf({ name }: Identity): string {
  if (name === undefined) throw notSignedIn();
  return name;
}

/** Members push anywhere; others only to pull requests that they opened. Throws HttpError 403. */
export async function demandPush(repository: Repository, revision: string, identity: Identity): Promise<void> {
  if (belongsTo(identity, repository.namespace)) return;
  const pull = (await pullRequests(repository)).find(({ number }) => pullRef(number) === revision);
  if (pull !== undefined && pull.author === identity.name) return;
  throw new HttpError(403, `the token of ${identity.name} may only open pull requests on ${repository.fullName}`);
}

function existingTarget(repository: Repository, revision: string): CommitTarget {
  const ref = refNamed(repository, revision);
  const base = ref === undefined ? undefined : repository.refs.all.get(ref);
  if (ref === undefined || base === undefined) throw revisionNotFound(revision);
  if (ref.startsWith("refs/tags/")) throw new HttpError(400, `${revision} is a tag: commits go to branches`);
  return { ref, base };
}

/** Writes a new pull request down and gives the ref for its commit. Only inside the write queue. */
export async function openPullRequest(
  { hub, repository, identity }: RepoExchange,
  revision: string,
  title: string,
  description: string,
): Promise<CommitTarget> {
  const number = nextPullNumber(repository);
  await storePullRequest(repository, hub.scratch, {
    number,
    title,
    description,
    author: authorOf(identity),
    createdAt: new Date().toISOString(),
    status: "open",
  });
  return { ref: pullRef(number), base: await resolveRevision(repository, revision) };
}
