/** Pull requests of a repository: a ref each, and what the ref does not say in one JSON file. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../../base/errors.ts";
import { parseJson } from "../../formats/json.ts";
import type { Scratch } from "../scratch.ts";
import type { Repository } from "./repository.ts";

export type PullStatus = "open" | "merged" | "closed";

export interface PullRequest {
  readonly number: number;
  readonly title: string;
  readonly description: string;
  readonly author: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly status: PullStatus;
}

const FILE = "pull-requests.json";

export const pullRef = (number: number) => `refs/pr/${number}`;

/** All of them, by number. One that has no ref was never finished and does not exist. */
export async function pullRequests(repository: Repository): Promise<readonly PullRequest[]> {
  const text = await readFile(join(repository.folder, FILE), "utf8").catch((cause: unknown) => {
    if (systemCodeOf(cause) === "ENOENT") return "[]";
    throw cause;
  });
  // This server wrote the file, whole or not at all.
  const listed = parseJson(text, { name: FILE }) as unknown as readonly PullRequest[];
  return listed.filter(({ number }) => repository.refs.all.has(pullRef(number)));
}

/** The number of the next pull request. Only inside the repository's write queue. */
export function nextPullNumber({ refs }: Repository): number {
  const taken = [...refs.all.keys()].map((ref) => Number(/^refs\/pr\/(\d+)$/.exec(ref)?.[1] ?? 0));
  return Math.max(0, ...taken) + 1;
}

/** Adds or replaces one. Only inside the repository's write queue; before the ref is set. */
export async function storePullRequest(repository: Repository, scratch: Scratch, pull: PullRequest): Promise<void> {
  const others = (await pullRequests(repository)).filter(({ number }) => number !== pull.number);
  const all = [...others, pull].sort((a, b) => a.number - b.number);
  await scratch.writeTo(join(repository.folder, FILE), `${JSON.stringify(all)}\n`);
}
