/** One server per folder: a lock file with the process's id, taken over when that process is gone. */
import { open, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";

/** Folders that this process serves: a lock with our own id and not in here is a dead namesake's. */
const held = new Set<string>();

/** Locks a hub's folder and gives the way to unlock it. Throws `server-storage` when another server has it. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = resolve(join(folder, "hub.lock"));
  if (held.has(path)) throw taken(folder, path, process.pid);
  held.add(path);
  try {
    await takeLock(folder, path);
  } catch (cause) {
    held.delete(path);
    throw cause;
  }
  return async () => {
    held.delete(path);
    await rm(path, { force: true });
  };
}

async function takeLock(folder: string, path: string): Promise<void> {
  if (await tryLock(path)) return;
  const owner = Number((await readFile(path, "utf8").catch(() => "")).trim());
  if (owner !== process.pid && isRunning(owner)) throw taken(folder, path, owner);
  await rm(path, { force: true });
  if (!(await tryLock(path))) throw taken(folder, path, owner);
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const handle = await open(path, "wx", 0o600);
    await handle.writeFile(`${process.pid}\n`).finally(() => handle.close());
    return true;
  } catch (cause) {
    if (systemCodeOf(cause) === "EEXIST") return false;
    throw new VeneError("server-storage", `cannot lock ${path}: ${messageOf(cause)}`, {
      hint: "the hub's folder must be writable, in read-only mode, too",
      details: { path },
      cause,
    });
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return systemCodeOf(cause) === "EPERM";
  }
}

function taken(folder: string, path: string, pid: number): VeneError {
  return new VeneError("server-storage", `${folder} is served by process ${pid} already`, {
    hint: `stop that server, or delete ${path} if it is no server of vene`,
    details: { folder, pid },
  });
}
