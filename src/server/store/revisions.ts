/** What a client may call a revision: a branch, a tag, a pull request, HEAD, or a commit by its id or the start of it. */
import { HttpError } from "../http/http-error.ts";
import { isGitOid } from "../names.ts";
import type { Repository } from "./repository.ts";

/** Full names to try for a ref, in this order. */
const prefixes = ["refs/heads/", "refs/tags/", ""];

/** The full name of the ref that clients call `revision`. */
export function refNamed({ refs }: Repository, revision: string): string | undefined {
  const name = revision === "HEAD" ? "main" : revision;
  return prefixes.map((prefix) => prefix + name).find((full) => refs.all.has(full));
}

export function revisionNotFound(revision: string): HttpError {
  return new HttpError(404, `Invalid rev id: ${revision}`, { errorCode: "RevisionNotFound" });
}

/** The commit that a revision means. Throws HttpError 404 RevisionNotFound. */
export async function resolveRevision(repository: Repository, revision: string): Promise<string> {
  const ref = refNamed(repository, revision);
  if (ref !== undefined) return repository.refs.all.get(ref)!;
  const oid = /^[0-9a-f]{7,40}$/.test(revision) ? await commitStartingWith(repository, revision) : undefined;
  if (oid === undefined) throw revisionNotFound(revision);
  return oid;
}

async function commitStartingWith(repository: Repository, start: string): Promise<string | undefined> {
  const oids = isGitOid(start) ? [start] : await repository.objects.startingWith(start);
  const commits: string[] = [];
  for (const oid of oids) {
    const isCommit = await repository.objects.readCommit(oid).then(
      () => true,
      () => false,
    );
    if (isCommit) commits.push(oid);
  }
  return commits.length === 1 ? commits[0] : undefined;
}

/** A revision and the path behind it, as URLs have them. */
export interface RevisionPath {
  readonly commit: string;
  /** What the client called it. */
  readonly revision: string;
  /** "" for the root. */
  readonly path: string;
}

/**
 * Splits `rest` (percent-encoded) into a revision and a path. A revision with slashes comes encoded (`refs%2Fpr%2F1`) or raw
 * (`refs/pr/1`); raw, the longest one that exists is meant. Throws HttpError 404 RevisionNotFound, or 400.
 */
export async function splitRevision(repository: Repository, rest: string): Promise<RevisionPath> {
  const segments = rest.split("/").map(decodeSegment);
  const split = (count: number) => ({
    revision: segments.slice(0, count).join("/"),
    path: segments.slice(count).join("/").replace(/\/$/, ""),
  });
  const longest = Math.min(segments.length, 32);
  for (let count = longest; count > 0; count--) {
    const found = split(count);
    const ref = refNamed(repository, found.revision);
    if (ref !== undefined) return { commit: repository.refs.all.get(ref)!, ...found };
  }
  const found = split(1);
  return { commit: await resolveRevision(repository, found.revision), ...found };
}

/** Throws HttpError 400 for broken percent-encoding. */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpError(400, "the address is not percent-encoded UTF-8");
  }
}
