/** What the API says about files and folders. */

import { splitMessage } from "./store/git-objects.ts";
import { type HistoryEntry, lastCommits } from "./store/history.ts";
import type { Repository } from "./store/repository.ts";
import type { PathEntry } from "./store/trees.ts";

/** The Hub's objects for entries of a commit; with `expand` also the last commit of each and a scan status. */
export async function pathInfos(
  { objects }: Repository,
  commit: string,
  entries: readonly PathEntry[],
  expand: boolean,
): Promise<readonly object[]> {
  const paths = entries.map(({ path }) => path);
  const last = expand ? await lastCommits(objects, commit, paths) : undefined;
  const infos: object[] = [];
  for (const { path, kind, oid } of entries) {
    infos.push({
      type: kind,
      oid,
      path,
      ...(kind === "directory" ? { size: 0 } : await sizes(objects, oid)),
      ...(last !== undefined && { lastCommit: lastCommit(last.get(path)!) }),
      ...(expand && kind === "file" && { securityFileStatus: notScanned }),
    });
  }
  return infos;
}

/** Nothing is scanned here. */
const notScanned = { status: "unscanned", avScan: null, pickleImportScan: null };

async function sizes(objects: Repository["objects"], oid: string) {
  const { size, lfs } = await objects.blobFacts(oid);
  if (lfs === undefined) return { size };
  return { size: lfs.size, lfs: { oid: lfs.sha256, size: lfs.size, pointerSize: size } };
}

function lastCommit({ oid, message, time }: HistoryEntry) {
  return { id: oid, title: splitMessage(message).title, date: new Date(time * 1000).toISOString() };
}
