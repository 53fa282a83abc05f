/** Pushes files to a repository: one commit on the head that was read, checked afterwards, none where nothing changes. */
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import type { RepoFile } from "./digests.ts";
import type { HubEnvironment } from "./environment.ts";
import { type Committed, commitOnce } from "./push-commit.ts";
import { allDigests, type ContentDigests, checkSame, isSame, type PushFile } from "./push-digests.ts";
import { openRepository } from "./push-repository.ts";
import { checkTags, createTag, filesAt, type Place, refsOf } from "./push-state.ts";
import { checkRevision, type RepoId, resolveUrl, webPath } from "./repo-id.ts";
import { hubRequest } from "./transport.ts";

export interface PushOptions {
  /** Visibility of a repository that is made; true also refuses one that is there and public. Default: the account's. */
  readonly private?: boolean | undefined;
  /** First line of the commit. */
  readonly message?: string | undefined;
  /** Propose the change as a pull request in place of committing to the branch. */
  readonly createPr?: boolean | undefined;
  /** Names for the new commit; a tag that exists elsewhere is an error before anything is sent. */
  readonly tags?: readonly string[] | undefined;
  /** Branch to commit to; made from main where there is none. Default "main". */
  readonly revision?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

/** What a push made, or found there already. */
export interface PushResult {
  /** "org/name". */
  readonly repo: string;
  /** 40 hex digits: of the new commit, or of the head where nothing changed. */
  readonly commit: string;
  /** "org/name@<commit>": what others pin. */
  readonly ref: string;
  /** Page of the commit. */
  readonly url: string;
  readonly pullRequestUrl?: string;
  /** Whether a repository or a commit was made. */
  readonly created: boolean;
  readonly changed: boolean;
  /** Paths that the commit wrote and deleted. */
  readonly written: readonly string[];
  readonly removed: readonly string[];
}

/** What is in the repository, for deciding what to push. */
export interface RemoteFiles {
  readonly repo: RepoId;
  readonly files: ReadonlyMap<string, RepoFile>;
  /** A small file, or undefined where there is none. Throws `hub-rejected` beyond `limit` bytes. */
  read(path: string, limit: number): Promise<Uint8Array | undefined>;
}

export interface PushContent {
  readonly files: readonly PushFile[];
  /** Files that go, where they are there. */
  readonly remove: readonly string[];
}

/**
 * Reads the head, asks `prepare` what should be there, and commits the difference. Afterwards every file is compared by digest
 * at the new commit. Throws `hub-integrity` where they differ, `hub-conflict`, and what requests and reading files throw.
 */
export async function pushFiles(
  environment: HubEnvironment,
  repo: RepoId,
  prepare: (root: RemoteFiles) => Promise<PushContent>,
  options: PushOptions = {},
): Promise<PushResult> {
  const { signal, createPr = false, tags = [], message = "Upload with vene" } = options;
  const branch = checkRevision(options.revision ?? "main");
  for (const tag of tags) checkRevision(tag);
  if (createPr && tags.length > 0) {
    throw new VeneError("hub-usage", "a pull request cannot be tagged", { hint: "tag the commit once it is merged" });
  }
  const given = { environment, repo, signal };
  const { place, head, created } = await openRepository(given, { branch, private: options.private });
  const remote = head.commit === undefined ? new Map<string, RepoFile>() : await filesAt(place, head.commit);
  const { files, remove } = await prepare(remoteFiles(place, head.commit, remote));
  const digests = await allDigests(files);
  const written = files.filter(({ path }) => !isSame(remote.get(path), digests.get(path)!));
  const removed = remove.filter((path) => remote.has(path));
  const changed = written.length + removed.length > 0;
  const refs = tags.length > 0 || createPr ? await refsOf(place) : undefined;
  if (refs !== undefined) checkTags(place, refs.tags, tags, changed ? undefined : head.commit);
  const made: Committed =
    !changed && head.commit !== undefined
      ? { commit: head.commit }
      : await commitOnce(place, {
          branch,
          parent: head.commit,
          title: message,
          files: written,
          digests: new Map(written.map(({ path }) => [path, digests.get(path)!])),
          remove: removed,
          createPr,
          knownPrs: new Set(refs?.pullRequests?.map(({ ref }) => ref)),
          onProgress: options.onProgress,
        });
  if (changed) await verify(place, made.commit, digests, removed);
  for (const tag of tags) await createTag(place, tag, made.commit, message);
  return { ...resultOf(place, made), created, changed, written: written.map(({ path }) => path), removed };
}

async function verify(
  place: Place,
  commit: string,
  digests: ReadonlyMap<string, ContentDigests>,
  removed: readonly string[],
): Promise<void> {
  const at = `${place.repo.name}@${commit}`;
  const entries = await filesAt(place, commit);
  checkSame(entries, digests, at);
  const left = removed.find((path) => entries.has(path));
  if (left === undefined) return;
  throw new VeneError("hub-integrity", `${left} is still there at ${at}, though the commit deletes it`, {
    details: { path: left },
  });
}

function resultOf({ environment, repo }: Place, { commit, pullRequestUrl }: Committed) {
  return {
    repo: repo.name,
    commit,
    ref: `${repo.name}@${commit}`,
    url: `${environment.endpoint}${webPath(repo)}/tree/${commit}`,
    ...(pullRequestUrl === undefined ? {} : { pullRequestUrl }),
  };
}

function remoteFiles(place: Place, commit: string | undefined, files: ReadonlyMap<string, RepoFile>): RemoteFiles {
  const { environment, repo, signal } = place;
  return {
    repo,
    files,
    async read(path, limit) {
      if (commit === undefined || !files.has(path)) return undefined;
      const what = `${path} of ${repo.name}`;
      const { body } = await hubRequest(environment, {
        url: resolveUrl(environment.endpoint, repo, commit, path),
        what,
        signal,
      });
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of body) {
        length += (chunk as Buffer).length;
        if (length > limit) throw new VeneError("hub-rejected", `${what} has more than ${limit} bytes`);
        chunks.push(chunk as Buffer);
      }
      return Buffer.concat(chunks);
    },
  };
}
