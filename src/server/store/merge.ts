/** Merging by whole files: what changed on one side only is taken, what changed on both must be the same. */
import { HttpError } from "../http/http-error.ts";
import { history } from "./history.ts";
import type { Repository } from "./repository.ts";
import { type Files, filesOf, writeFiles } from "./trees.ts";

/** Makes a merge commit on `ours` (a full ref name). Only inside the write queue. Throws HttpError 409 on a conflict. */
export async function mergeInto(
  { objects, refs }: Repository,
  ours: string,
  theirs: string,
  message: string,
  author: string,
): Promise<void> {
  const [mine, other] = [refs.all.get(ours)!, refs.all.get(theirs)!];
  const before = await filesAt(await commonAncestor(mine, other));
  const merged = mergeFiles(before, await filesAt(mine), await filesAt(other));
  const tree = await writeFiles(objects, merged);
  const time = Math.floor(Date.now() / 1000);
  await refs.update({ [ours]: await objects.writeCommit({ tree, parents: [mine, other], author, time, message }) });

  async function filesAt(commit: string | undefined): Promise<Files> {
    return commit === undefined ? new Map() : filesOf(objects, (await objects.readCommit(commit)).tree);
  }

  /** The newest commit of the other side's line that is in our history, too. */
  async function commonAncestor(one: string, two: string): Promise<string | undefined> {
    const known = new Set<string>();
    for await (const { oid, parents } of history(objects, one)) for (const id of [oid, ...parents]) known.add(id);
    for await (const { oid } of history(objects, two)) if (known.has(oid)) return oid;
    return undefined;
  }
}

function mergeFiles(before: Files, ours: Files, theirs: Files): Files {
  const merged = new Map(ours);
  for (const path of new Set([...before.keys(), ...theirs.keys()])) {
    const [base, mine, other] = [before.get(path), ours.get(path), theirs.get(path)];
    if (other === base || other === mine) continue;
    if (mine !== base) throw new HttpError(409, `${path} was changed on both sides`);
    if (other === undefined) merged.delete(path);
    else merged.set(path, other);
  }
  return merged;
}
