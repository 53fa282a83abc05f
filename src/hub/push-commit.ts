/** One commit by @huggingface/hub, made exactly once even where the Hub's answer is lost. */
import { pathToFileURL } from "node:url";
import type { CommitOutput, CommitProgressEvent } from "@huggingface/hub";
import { throwIfAborted } from "../base/abort.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import { hubFetch } from "./fetch.ts";
import { type ContentDigests, isSame, type PushFile } from "./push-digests.ts";
import { commitAfter, filesAt, headOf, type Place, refsOf } from "./push-state.ts";
import { isCommit, webPath } from "./repo-id.ts";
import { pauseBeforeRetry } from "./transport.ts";

export interface CommitPlan {
  readonly branch: string;
  readonly parent: string | undefined;
  readonly title: string;
  readonly files: readonly PushFile[];
  readonly digests: ReadonlyMap<string, ContentDigests>;
  readonly remove: readonly string[];
  readonly createPr: boolean;
  /** Pull requests that were there before. */
  readonly knownPrs: ReadonlySet<string>;
  readonly onProgress: ProgressListener | undefined;
}

export interface Committed {
  readonly commit: string;
  readonly pullRequestUrl?: string;
}

/** The Hub takes long over commits of many files. */
const COMMIT_TIMEOUT_MS = 120_000;

/**
 * Commits on the parent or not at all. A commit request is never sent again blindly: after an unclear answer the repository is
 * read, and a commit with our content on our parent is ours. Throws `hub-conflict` when the branch has moved otherwise.
 */
export async function commitOnce(place: Place, plan: CommitPlan): Promise<Committed> {
  for (let attempt = 1; ; attempt++) {
    const sent = { commit: false };
    try {
      return await attemptCommit(place, plan, sent);
    } catch (thrown) {
      const failure = asVeneError(thrown, place);
      if (!sent.commit || failure.code === "aborted") throw failure;
      if (!["hub-unreachable", "hub-conflict", "hub-rejected"].includes(failure.code)) throw failure;
      const found = await findOurs(place, plan, failure);
      if (found !== undefined) return found;
      if (!(await pauseBeforeRetry(place.environment, failure, attempt, place.signal))) throw failure;
    }
  }
}

async function attemptCommit(place: Place, plan: CommitPlan, sent: { commit: boolean }): Promise<Committed> {
  const { environment, repo, signal } = place;
  throwIfAborted(signal);
  const { commitIter } = await import("@huggingface/hub");
  const send = hubFetch(environment, { what: `pushing to ${repo.name}`, headersTimeoutMs: COMMIT_TIMEOUT_MS, signal });
  const work = commitIter({
    repo,
    hubUrl: environment.endpoint,
    branch: plan.branch,
    title: plan.title,
    operations: [
      ...plan.files.map(({ path, content }) => ({
        operation: "addOrUpdate" as const,
        path,
        content: content instanceof Uint8Array ? new Blob([content]) : pathToFileURL(content.file),
      })),
      ...plan.remove.map((path) => ({ operation: "delete" as const, path })),
    ],
    ...(plan.parent === undefined ? {} : { parentCommit: plan.parent }),
    isPullRequest: plan.createPr,
    // Its own credentials go to other hosts, which our transport does not allow; LFS does without.
    useXet: false,
    fetch: (input, init) => {
      if (/\/commit\/[^/]+$/.test(new URL(String(input)).pathname)) sent.commit = true;
      return send(input, init);
    },
    ...(signal === undefined ? {} : { abortSignal: signal }),
  });
  return committedBy(await followed(work, plan), place);
}

async function followed(
  work: AsyncGenerator<CommitProgressEvent, CommitOutput | undefined>,
  { digests, onProgress }: CommitPlan,
): Promise<CommitOutput | undefined> {
  const total = [...digests.values()].reduce((sum, { size }) => sum + size, 0);
  const done = new Map<string, number>();
  for (;;) {
    const step = await work.next();
    if (step.done) return step.value;
    if (step.value.event !== "fileProgress" || step.value.state !== "uploading") continue;
    done.set(step.value.path, step.value.progress * (digests.get(step.value.path)?.size ?? 0));
    const bytes = [...done.values()].reduce((sum, size) => sum + size, 0);
    onProgress?.({ phase: "uploading", done: bytes, total, unit: "bytes" });
  }
}

function committedBy(output: CommitOutput | undefined, { repo, environment }: Place): Committed {
  const commit = output?.commit.oid;
  if (!isCommit(commit)) {
    throw new VeneError("hub-rejected", `pushing to ${repo.name}: the Hub named no commit`, {
      hint: "check HF_ENDPOINT",
    });
  }
  const url = output?.pullRequestUrl;
  if (url === undefined) return { commit };
  return {
    commit,
    pullRequestUrl: URL.canParse(url, environment.endpoint) ? new URL(url, environment.endpoint).href : "",
  };
}

/**
 * Our commit, if an unheard answer made it; undefined where nothing has changed. Throws `failure` with what is known where that
 * cannot be found out, and `hub-conflict` where others have committed.
 */
async function findOurs(place: Place, plan: CommitPlan, failure: VeneError): Promise<Committed | undefined> {
  try {
    return plan.createPr ? await ourPullRequest(place, plan) : await ourCommit(place, plan, failure);
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "hub-unreachable") throw thrown;
    throw new VeneError(failure.code, `${failure.message}; whether the commit was made is unknown`, {
      hint: "push again: what is there already is not committed twice",
      details: failure.details,
      cause: thrown,
    });
  }
}

async function ourCommit(place: Place, plan: CommitPlan, failure: VeneError): Promise<Committed | undefined> {
  const { commit: head } = await headOf(place, plan.branch);
  if (head === undefined || head === plan.parent) {
    if (failure.code === "hub-conflict") throw failure;
    return undefined;
  }
  const commit = await commitAfter(place, plan.branch, plan.parent);
  if (commit !== undefined && (await holds(place, plan, commit))) return { commit };
  throw moved(place, plan, head);
}

async function ourPullRequest(place: Place, plan: CommitPlan): Promise<Committed | undefined> {
  const { pullRequests = [] } = await refsOf(place);
  for (const { ref, targetCommit } of pullRequests) {
    if (plan.knownPrs.has(ref) || !(await holds(place, plan, targetCommit))) continue;
    const number = /^refs\/pr\/(\d+)$/.exec(ref)?.[1];
    const url = `${place.environment.endpoint}${webPath(place.repo)}/discussions/${number}`;
    return { commit: targetCommit, pullRequestUrl: url };
  }
  return undefined;
}

async function holds(place: Place, { digests, remove }: CommitPlan, commit: string): Promise<boolean> {
  const entries = await filesAt(place, commit);
  if (remove.some((path) => entries.has(path))) return false;
  return [...digests].every(([path, content]) => isSame(entries.get(path), content));
}

function moved({ repo }: Place, { branch, parent }: CommitPlan, head: string | undefined): VeneError {
  return new VeneError("hub-conflict", `${repo.name}: ${branch} moved from ${parent} to ${head} during the push`, {
    hint: "look at what changed there, then push again",
    details: { branch, expected: parent, found: head },
  });
}

/** What @huggingface/hub throws of its own is about answers or local files; our transport's errors pass through. */
function asVeneError(thrown: unknown, { repo, signal }: Place): VeneError {
  if (thrown instanceof VeneError) return thrown;
  const cause = (thrown as { cause?: unknown } | null)?.cause;
  if (cause instanceof VeneError) return cause;
  if (signal?.aborted) return new VeneError("aborted", "stopped by the caller's signal", { cause: thrown });
  const code = systemCodeOf(thrown) === undefined ? "hub-rejected" : "file-unreadable";
  return new VeneError(code, `pushing to ${repo.name}: ${messageOf(thrown)}`, { cause: thrown });
}
