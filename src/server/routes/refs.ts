/** Branches and tags. */
import { json } from "../http/answer.ts";
import { optionalString, readJsonObject, stringField } from "../http/body.ts";
import { HttpError } from "../http/http-error.ts";
import { queryFlag } from "../http/query.ts";
import { isRefName } from "../names.ts";
import type { RepoExchange, Route } from "../route.ts";
import type { Repository } from "../store/repository.ts";
import { decodeSegment, resolveRevision, revisionNotFound, splitRevision } from "../store/revisions.ts";
import { writeFiles } from "../store/trees.ts";
import { authorOf } from "./commit.ts";

export const refRoutes: readonly Route[] = [
  { method: "GET", pattern: "{api}/refs", access: "read", handle: listRefs },
  { method: "POST", pattern: "{api}/branch/*", access: "write", handle: createBranch },
  { method: "DELETE", pattern: "{api}/branch/*", access: "write", handle: deleteBranch },
  { method: "POST", pattern: "{api}/tag/*", access: "write", handle: createTag },
  { method: "DELETE", pattern: "{api}/tag/*", access: "write", handle: deleteTag },
];

async function listRefs({ repository, url }: RepoExchange) {
  const under = (prefix: string, short: (ref: string) => string) =>
    [...repository.refs.all]
      .filter(([ref]) => ref.startsWith(prefix))
      .map(([ref, targetCommit]) => ({ name: short(ref), ref, targetCommit }));
  const cut = (prefix: string) => under(prefix, (ref) => ref.slice(prefix.length));
  return json({
    branches: cut("refs/heads/"),
    converts: [],
    tags: cut("refs/tags/"),
    ...(queryFlag(url, "include_prs") && { pullRequests: under("refs/pr/", (ref) => ref) }),
  });
}

/** The name in the address, which clients encode as a whole or not at all. */
function nameOf({ parameters }: RepoExchange): string {
  return decodeSegment(parameters["rest"] ?? "");
}

async function createBranch(exchange: RepoExchange) {
  const { repository } = exchange;
  const name = newRefName(nameOf(exchange));
  const body = await readJsonObject(exchange);
  const start = optionalString(body, "startingPoint") ?? "main";
  const isEmpty = body["emptyBranch"] === true;
  await repository.write(async () => {
    const ref = `refs/heads/${name}`;
    demandFree(repository, ref, body["overwrite"] === true);
    const commit = isEmpty ? await emptyCommit(exchange) : await resolveRevision(repository, start);
    await repository.refs.update({ [ref]: commit });
  });
  return json({});
}

async function emptyCommit({ repository: { objects }, identity }: RepoExchange): Promise<string> {
  const tree = await writeFiles(objects, new Map());
  const time = Math.floor(Date.now() / 1000);
  return objects.writeCommit({ tree, parents: [], author: authorOf(identity), time, message: "initial commit" });
}

async function deleteBranch(exchange: RepoExchange) {
  const name = nameOf(exchange);
  if (name === "main") throw new HttpError(403, "Cannot delete the main branch");
  await removeRef(exchange.repository, `refs/heads/${name}`, name);
  return json({});
}

async function createTag(exchange: RepoExchange) {
  const { repository, parameters } = exchange;
  const { commit } = await splitRevision(repository, parameters["rest"] ?? "");
  const name = newRefName(stringField(await readJsonObject(exchange), "tag"));
  await repository.write(async () => {
    demandFree(repository, `refs/tags/${name}`, false);
    await repository.refs.update({ [`refs/tags/${name}`]: commit });
  });
  return json({});
}

async function deleteTag(exchange: RepoExchange) {
  await removeRef(exchange.repository, `refs/tags/${nameOf(exchange)}`, nameOf(exchange));
  return json({});
}

function newRefName(name: string): string {
  if (!isRefName(name)) throw new HttpError(400, `${JSON.stringify(name)} is no name for a branch or tag`);
  return name;
}

/** git cannot have `a` beside `a/b`. */
function demandFree({ refs }: Repository, ref: string, overwrite: boolean): void {
  if (refs.all.has(ref) && !overwrite) throw new HttpError(409, `Reference ${ref} already exists`);
  const clash = [...refs.all.keys()].find((other) => other.startsWith(`${ref}/`) || ref.startsWith(`${other}/`));
  if (clash !== undefined) throw new HttpError(409, `Reference ${ref} cannot be beside ${clash}`);
}

async function removeRef(repository: Repository, ref: string, name: string): Promise<void> {
  await repository.write(async () => {
    if (!repository.refs.all.has(ref)) throw revisionNotFound(name);
    await repository.refs.update({ [ref]: undefined });
  });
}
