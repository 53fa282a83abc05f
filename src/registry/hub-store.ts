/** A registry in a dataset repository on a Hub: reads are pinned to one commit, writes are one commit on the head that was read. */
import { VeneError } from "../base/errors.ts";
import type { HubEnvironment } from "../hub/environment.ts";
import { commitOnce } from "../hub/push-commit.ts";
import { allDigests } from "../hub/push-digests.ts";
import { openRepository } from "../hub/push-repository.ts";
import { type Place, refsOf } from "../hub/push-state.ts";
import { isCommit, type RepoId, resolveUrl } from "../hub/repo-id.ts";
import { hubRequest } from "../hub/transport.ts";
import { DocumentCache } from "./document-cache.ts";
import { registryPath } from "./names.ts";
import { RemoteSnapshot } from "./remote-snapshot.ts";
import { type Commit, moved, type RegistryStore, type Snapshot } from "./store.ts";

export class HubStore implements RegistryStore {
  readonly location: string;
  readonly #repo: RepoId;
  readonly #branch: string;
  readonly #environment: HubEnvironment;
  readonly #cache: DocumentCache;

  constructor(repo: RepoId, branch: string, environment: HubEnvironment, cacheFolder: string) {
    this.location = `hf:datasets/${repo.name}${branch === "main" ? "" : `@${branch}`}`;
    this.#repo = repo;
    this.#branch = branch;
    this.#environment = environment;
    this.#cache = new DocumentCache(cacheFolder, `${environment.endpoint} ${this.location}`);
  }

  async snapshot(signal?: AbortSignal): Promise<Snapshot> {
    const environment = this.#environment;
    const head = environment.offline ? undefined : await this.#headOrOffline(signal);
    const snapshot = new RemoteSnapshot({
      location: this.location,
      environment,
      cache: this.#cache,
      head: head ?? "",
      offline: head === undefined,
      urlOf: (path) => resolveUrl(environment.endpoint, this.#repo, head ?? this.#branch, path),
      signal,
    });
    if (head === undefined && !environment.offline) {
      snapshot.notices.push(`${this.location} did not answer: going by what it last said`);
    }
    return snapshot;
  }

  /** Makes the repository where there is none; of that, the head. */
  async open(signal?: AbortSignal): Promise<string> {
    const { head } = await openRepository(this.#place(signal), { branch: this.#branch, private: undefined });
    return head.commit ?? "";
  }

  /** A commit on a Hub is whole or not there. */
  async settle(): Promise<void> {}

  async commit({ head, files, message, pullRequest = false, signal }: Commit): Promise<string | undefined> {
    const place = this.#place(signal);
    // Without a parent a commit would go on top of anything.
    if (head === "" && (await this.open(signal)) !== "") throw moved(this.location, "no commit", "a commit");
    const pushed = [...files].map(([path, content]) => ({ path, content }));
    const refs = pullRequest ? await refsOf(place) : undefined;
    try {
      const { pullRequestUrl } = await commitOnce(place, {
        branch: this.#branch,
        parent: head === "" ? undefined : head,
        title: message,
        files: pushed,
        digests: await allDigests(pushed),
        remove: [],
        createPr: pullRequest,
        knownPrs: new Set(refs?.pullRequests?.map(({ ref }) => ref)),
        onProgress: undefined,
      });
      return pullRequestUrl;
    } catch (thrown) {
      if (!(thrown instanceof VeneError)) throw thrown;
      if (thrown.code === "hub-conflict") throw moved(this.location, head, "another commit");
      if (thrown.code !== "hub-unauthorized" || pullRequest) throw thrown;
      throw new VeneError(thrown.code, thrown.message, {
        hint: "without write access, propose the change as a pull request (--pr)",
        details: thrown.details,
        cause: thrown,
      });
    }
  }

  #place(signal: AbortSignal | undefined): Place {
    return { environment: this.#environment, repo: this.#repo, signal };
  }

  /** By way of a file, as the Hub counts such requests more generously than those of its API. */
  async #headOrOffline(signal: AbortSignal | undefined): Promise<string | undefined> {
    const { endpoint } = this.#environment;
    const what = `the registry ${this.location}`;
    try {
      const answer = await hubRequest(this.#environment, {
        method: "HEAD",
        url: resolveUrl(endpoint, this.#repo, this.#branch, registryPath),
        what,
        signal,
      });
      answer.body.destroy();
      const commit = answer.first["x-repo-commit"];
      if (isCommit(commit)) return commit;
      throw new VeneError("hub-rejected", `${what}: ${endpoint} named no commit`, { hint: "check HF_ENDPOINT" });
    } catch (thrown) {
      if (thrown instanceof VeneError && thrown.code === "hub-unreachable") return undefined;
      throw thrown;
    }
  }
}
