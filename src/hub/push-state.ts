/** What a push needs to know of a repository: its head, its refs, and the files at a commit. */
import { VeneError } from "../base/errors.ts";
import type { RepoFile } from "./digests.ts";
import type { HubEnvironment } from "./environment.ts";
import { listFiles } from "./listing.ts";
import { apiPath, type RepoId } from "./repo-id.ts";
import { hubJson, hubRequest } from "./transport.ts";
import { commitsShape, type RemoteRefs, refsShape, repositoryShape, shaped } from "./verbs-shapes.ts";

/** A repository on a Hub, for somebody. */
export interface Place {
  readonly environment: HubEnvironment;
  readonly repo: RepoId;
  readonly signal: AbortSignal | undefined;
}

export interface Head {
  /** undefined in a repository without a commit. */
  readonly commit: string | undefined;
  readonly private: boolean | undefined;
}

const jsonType = { "content-type": "application/json" };
const MAX_COMMITS = 50;

/** Throws `hub-not-found` for a repository or revision that is not there or not for this token. */
export async function headOf({ environment, repo, signal }: Place, revision: string): Promise<Head> {
  const what = `${repo.name}@${revision}`;
  const url = `${apiPath(repo)}/revision/${encodeURIComponent(revision)}`;
  const { sha, private: hidden } = shaped(
    repositoryShape,
    (await hubJson(environment, { url, what, signal })).value,
    what,
  );
  return { commit: sha ?? undefined, private: hidden };
}

/** Files at a commit, by path. */
export async function filesAt({ environment, repo, signal }: Place, commit: string): Promise<Map<string, RepoFile>> {
  return new Map((await listFiles(environment, repo, commit, signal)).map((file) => [file.path, file]));
}

/** Branches, tags and pull requests. */
export async function refsOf({ environment, repo, signal }: Place): Promise<RemoteRefs> {
  const what = `the branches and tags of ${repo.name}`;
  const { value } = await hubJson(environment, { url: `${apiPath(repo)}/refs?include_prs=1`, what, signal });
  return shaped(refsShape, value, what);
}

/** The commit of a revision that came directly after `parent`, if it is among the latest. */
export async function commitAfter(
  place: Place,
  revision: string,
  parent: string | undefined,
): Promise<string | undefined> {
  const { environment, repo, signal } = place;
  const what = `the commits of ${repo.name}`;
  const url = `${apiPath(repo)}/commits/${encodeURIComponent(revision)}?limit=${MAX_COMMITS}`;
  const commits = shaped(commitsShape, (await hubJson(environment, { url, what, signal })).value, what);
  if (parent === undefined) return commits.at(-1)?.id;
  const at = commits.findIndex(({ id }) => id === parent);
  return at > 0 ? commits[at - 1]!.id : undefined;
}

/** Makes a branch that starts at main. */
export async function createBranch({ environment, repo, signal }: Place, branch: string): Promise<void> {
  const { body } = await hubRequest(environment, {
    method: "POST",
    url: `${apiPath(repo)}/branch/${encodeURIComponent(branch)}`,
    what: `making the branch ${branch} of ${repo.name}`,
    headers: jsonType,
    body: JSON.stringify({ startingPoint: "main" }),
    accept: [409],
    signal,
  });
  body.destroy();
}

/** Tags a commit; a tag that is there already must be at that commit. Throws `hub-conflict`. */
export async function createTag(place: Place, tag: string, commit: string, message: string): Promise<void> {
  const { environment, repo, signal } = place;
  const { body, status } = await hubRequest(environment, {
    method: "POST",
    url: `${apiPath(repo)}/tag/${commit}`,
    what: `tagging ${repo.name}`,
    headers: jsonType,
    body: JSON.stringify({ tag, message }),
    // A tag that an unheard answer already made is found at the right commit below.
    repeatable: true,
    accept: [409],
    signal,
  });
  body.destroy();
  if (status === 409) checkTags(place, (await refsOf(place)).tags, [tag], commit);
}

/** Throws `hub-conflict` for a tag that is at another commit: tags do not move. */
export function checkTags(
  { repo }: Place,
  tags: RemoteRefs["tags"],
  wanted: readonly string[],
  commit: string | undefined,
): void {
  const taken = tags.find(({ name, targetCommit }) => wanted.includes(name) && targetCommit !== commit);
  if (taken === undefined) return;
  throw new VeneError("hub-conflict", `${repo.name} already has the tag ${taken.name}, at ${taken.targetCommit}`, {
    hint: "choose another tag",
    details: { tag: taken.name, commit: taken.targetCommit },
  });
}
