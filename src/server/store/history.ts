/** The commits behind a commit, newest first, following first parents as the Hub's pages do. */
import type { Commit } from "./git-objects.ts";
import type { ObjectStore } from "./object-store.ts";

export interface HistoryEntry extends Commit {
  readonly oid: string;
}

export async function* history(objects: ObjectStore, head: string): AsyncGenerator<HistoryEntry> {
  for (let oid: string | undefined = head; oid !== undefined; ) {
    const commit: Commit = await objects.readCommit(oid);
    yield { oid, ...commit };
    oid = commit.parents[0];
  }
}

/** How far back the last change of a path is looked for; a path that is older gets the eldest commit looked at. */
const MAX_DEPTH = 1000;

/** For each path (files or folders) the last commit that changed it. */
export async function lastCommits(
  objects: ObjectStore,
  head: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, HistoryEntry>> {
  const found = new Map<string, HistoryEntry>();
  const open = new Set(paths);
  let newer: HistoryEntry | undefined;
  let depth = 0;
  for await (const commit of history(objects, head)) {
    if (newer !== undefined) {
      for await (const path of changedPaths(objects, newer.tree, commit.tree, "")) {
        if (open.delete(path)) found.set(path, newer);
      }
    }
    newer = commit;
    if (open.size === 0 || ++depth === MAX_DEPTH) break;
  }
  for (const path of open) found.set(path, newer!);
  return found;
}

/** Files and folders of the newer tree that the older one has not or has otherwise; equal folders are not looked into. */
async function* changedPaths(
  objects: ObjectStore,
  newer: string,
  older: string | undefined,
  prefix: string,
): AsyncGenerator<string> {
  const before = new Map(
    (older === undefined ? [] : await objects.readTree(older)).map((entry) => [entry.name, entry]),
  );
  for (const { name, kind, oid } of await objects.readTree(newer)) {
    const old = before.get(name);
    if (old?.oid === oid) continue;
    const path = prefix + name;
    yield path;
    const oldFolder = old?.kind === "directory" ? old.oid : undefined;
    if (kind === "directory") yield* changedPaths(objects, oid, oldFolder, `${path}/`);
  }
}
