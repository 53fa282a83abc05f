/** One writer at a time in a folder, across processes: a lock file that outlives no process for long. */
import { randomBytes } from "node:crypto";
import { link, open, readFile, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../base/abort.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";

export const lockName = ".registry-lock";
const PATIENCE_MS = 30_000;

/** Within this process writers queue here, so a lock file with our own id was left by a dead namesake. */
const queues = new Map<string, Promise<unknown>>();

/** Runs `work` while holding the folder. Throws `registry-conflict` when another process keeps it, `write-failed`. */
export async function withLock<T>(folder: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const path = resolve(join(folder, lockName));
  const before = queues.get(path) ?? Promise.resolve();
  const turn = before.then(() => locked(path, signal, work));
  const quiet = turn.catch(() => undefined);
  queues.set(path, quiet);
  try {
    return await turn;
  } finally {
    if (queues.get(path) === quiet) queues.delete(path);
  }
}

async function locked<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), token: randomBytes(8).toString("hex") });
  const until = Date.now() + PATIENCE_MS;
  while (!(await tryLock(path, mine))) {
    throwIfAborted(signal);
    const owner = await readFile(path, "utf8").catch(() => undefined);
    if (owner === undefined || (await takenOver(path, owner))) continue;
    if (Date.now() > until) throw stuck(path, owner);
    await sleep(10 + Math.random() * 40);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** Written whole before it is there, so that nobody reads half an owner. */
async function tryLock(path: string, mine: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(4).toString("hex")}.partial`;
  try {
    const handle = await open(temporary, "wx");
    await handle.writeFile(mine).finally(() => handle.close());
    await link(temporary, path);
    return true;
  } catch (cause) {
    if (systemCodeOf(cause) === "EEXIST") return false;
    throw new VeneError("write-failed", `cannot lock the registry at ${path}: ${messageOf(cause)}`, {
      hint: "check that the folder exists and is writable",
      details: { path, system: systemCodeOf(cause) },
      cause,
    });
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** Takes a dead process's lock away. It is moved first: should it be somebody else's by then, it is put back. */
async function takenOver(path: string, owner: string): Promise<boolean> {
  if (!isDead(owner)) return false;
  const aside = `${path}.${randomBytes(4).toString("hex")}.partial`;
  try {
    await rename(path, aside);
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return true;
    throw cause;
  }
  if ((await readFile(aside, "utf8")) !== owner) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
  return true;
}

/** Of another machine, as on a network disk, nothing is known. */
function isDead(owner: string): boolean {
  const [, pid, host] = /^\{"pid":(\d{1,10}),"host":"([^"]*)"/.exec(owner) ?? [];
  if (pid === undefined || host !== hostname()) return false;
  if (Number(pid) === process.pid) return true;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (cause) {
    return systemCodeOf(cause) === "ESRCH";
  }
}

function stuck(path: string, owner: string): VeneError {
  return new VeneError("registry-conflict", `another process has held ${path} for ${PATIENCE_MS / 1000} s: ${owner}`, {
    hint: "wait for it, or delete the file if nothing is writing there",
    details: { path, owner },
  });
}
