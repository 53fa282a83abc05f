/** Applying a commit: the objects of its files are stored already; trees, the commit and then the ref follow, in this order. */
import { HttpError } from "../http/http-error.ts";
import { coverInAttributes, isLfsPath } from "./first-commit.ts";
import type { Repository } from "./repository.ts";
import { type Files, filesOf, writeFiles } from "./trees.ts";

export type Change =
  | { readonly kind: "file" | "lfsFile"; readonly path: string; readonly oid: string }
  | { readonly kind: "deletedFile" | "deletedFolder"; readonly path: string };

export interface CommitRequest {
  readonly title: string;
  readonly description: string;
  readonly author: string;
  /** The commit that the client believes to be the newest, or 7 digits of it and more: anything else is a conflict. */
  readonly parent: string | undefined;
  readonly changes: readonly Change[];
}

/** A commit that changes no file. */
export function emptyRequest(title: string, description: string, author: string): CommitRequest {
  return { title, description, author, parent: undefined, changes: [] };
}

/** Messages are listed for ever after, and those of pull requests are read together. Throws HttpError 400. */
function demandShort({ title, description }: CommitRequest): void {
  if (/^\s*$/.test(title) || title.length > 2000) throw new HttpError(400, "the title is empty or too long");
  if (description.length > MAX_DESCRIPTION) {
    throw new HttpError(400, `the description has ${description.length} characters, ${MAX_DESCRIPTION} are allowed`);
  }
}

const MAX_DESCRIPTION = 65_536;

/** The ref that a commit moves, found once it is the commit's turn. `base`: what the commit builds on. */
export interface CommitTarget {
  readonly ref: string;
  readonly base: string;
}

/**
 * Puts a commit on the ref that `target` names when the writer's turn has come. A kill at any moment leaves the ref at the old
 * commit or at the new one. Throws HttpError 412 (another parent), 404 EntryNotFound (nothing to delete), 400.
 */
export async function commitTo(
  repository: Repository,
  target: () => CommitTarget | Promise<CommitTarget>,
  request: CommitRequest,
  maxFiles: number,
): Promise<{ readonly oid: string; readonly ref: string }> {
  demandShort(request);
  return repository.write(async () => {
    const { objects, refs } = repository;
    const { ref, base } = await target();
    if (request.parent !== undefined && !isStartOf(request.parent, base)) {
      throw new HttpError(412, "The branch was updated since you opened this page. Please refresh and try again.");
    }
    const before = await filesOf(objects, (await objects.readCommit(base)).tree);
    const files = await coverLargeFiles(repository, applyChanges(before, request.changes), request.changes);
    if (files.size > maxFiles) {
      throw new HttpError(400, `the commit makes ${files.size} files, a revision may have ${maxFiles}`);
    }
    const message = request.description === "" ? request.title : `${request.title}\n\n${request.description}`;
    const oid = await objects.writeCommit({
      tree: await writeFiles(objects, files),
      parents: [base],
      author: request.author,
      time: Math.floor(Date.now() / 1000),
      message,
    });
    await refs.update({ [ref]: oid });
    return { oid, ref };
  });
}

function isStartOf(start: string, oid: string): boolean {
  return start.length >= 7 && oid.startsWith(start);
}

/** Deletions and additions in the order they were sent; each path may be added once. */
function applyChanges(before: Files, changes: readonly Change[]): Map<string, string> {
  const files = new Map(before);
  const added = new Set<string>();
  for (const change of changes) {
    if (change.kind === "file" || change.kind === "lfsFile") {
      if (added.has(change.path)) throw new HttpError(400, `${change.path} is added twice in one commit`);
      added.add(change.path);
      files.set(change.path, change.oid);
    } else if (change.kind === "deletedFile") {
      if (!files.delete(change.path)) throw nothingToDelete("file");
    } else {
      const inside = [...files.keys()].filter((path) => path.startsWith(`${change.path}/`));
      if (inside.length === 0) throw nothingToDelete("folder");
      for (const path of inside) files.delete(path);
    }
  }
  return files;
}

function nothingToDelete(what: string): HttpError {
  return new HttpError(404, `A ${what} with this name doesn't exist`, { errorCode: "EntryNotFound" });
}

/** Large files of unusual kinds get a line in .gitattributes, as on the Hub, unless the commit writes that file itself. */
async function coverLargeFiles({ objects }: Repository, files: Map<string, string>, changes: readonly Change[]) {
  const unusual = changes.filter(({ kind, path }) => kind === "lfsFile" && !isLfsPath(path)).map(({ path }) => path);
  const attributes = files.get(".gitattributes");
  if (unusual.length === 0 || attributes === undefined || changes.some(({ path }) => path === ".gitattributes"))
    return files;
  const covered = coverInAttributes((await objects.readBlob(attributes)).toString("utf8"), unusual);
  return files.set(".gitattributes", await objects.writeBlob(Buffer.from(covered)));
}
