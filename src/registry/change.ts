/** Changing a registry that others change, too: decide on what is there, commit on exactly that, begin again if it moved. */
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../base/abort.ts";
import { VeneError } from "../base/errors.ts";
import type { IndexFile } from "./index-file.ts";
import { appended, type LogRecord } from "./log.ts";
import { indexPath } from "./names.ts";
import { onlyOne, type Registries, type View, viewOf } from "./registries.ts";
import { searchFiles } from "./search-shards.ts";

/** What a change wants written; log and search files are added to it. */
export interface Change {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The name's lines after the change, where they change. */
  readonly index?: IndexFile;
  readonly records: readonly LogRecord[];
  readonly message: string;
}

export interface Changed {
  readonly changed: boolean;
  readonly pullRequestUrl: string | undefined;
}

const MAX_TRIES = 8;
const FIRST_PAUSE_MS = 100;

/**
 * Applies `decide` to the registry that is to be written to. `decide` gives undefined where all is as wanted: that makes changes
 * safe to repeat, after a lost answer, too. Throws `registry-conflict` where others are faster eight times in a row.
 */
export async function changeRegistry(
  registries: Registries,
  {
    pullRequest = false,
    decide,
  }: { pullRequest?: boolean | undefined; decide: (view: View) => Promise<Change | undefined> },
): Promise<Changed> {
  const { store } = onlyOne(registries);
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(registries.signal);
    await store.settle(registries.signal);
    const view = await viewOf(store, registries);
    const change = await decide(view);
    if (change === undefined) return { changed: false, pullRequestUrl: undefined };
    const { signal } = registries;
    const commit = {
      head: view.snapshot.head,
      files: await allFiles(view, change),
      message: change.message,
      pullRequest,
    };
    try {
      return { changed: true, pullRequestUrl: await store.commit({ ...commit, signal }) };
    } catch (thrown) {
      if (!isRetryable(thrown) || attempt === MAX_TRIES) throw thrown;
      await sleep(FIRST_PAUSE_MS * 2 ** attempt * Math.random());
    }
  }
}

function isRetryable(thrown: unknown): boolean {
  return thrown instanceof VeneError && thrown.code === "registry-conflict" && thrown.details["retry"] === true;
}

async function allFiles({ snapshot, head }: View, { files, index, records }: Change): Promise<Map<string, Uint8Array>> {
  const all = new Map([...files, ...(await appended(snapshot, head, records))]);
  if (index === undefined) return all;
  all.set(indexPath(index.name), Buffer.from(index.text));
  for (const [path, bytes] of await searchFiles(snapshot, index)) all.set(path, bytes);
  return all;
}
