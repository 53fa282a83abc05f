/** Commits to a folder: staged beside the tree, decided by one rename, finished by whoever comes next. */
import { randomBytes } from "node:crypto";
import { readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { makeFolder } from "../base/atomic.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";

const decided = ".registry-commit";
const staged = /^\.registry-commit\.[0-9a-f]{8}\.partial$/;

/** Called before each step that changes the disk. */
export type OnStep = (step: string) => void | Promise<void>;

/** Readers come along in between: what is named is there before what names it. */
const order = ["blobs/", "manifests/", "log/0", "log/", "index/", "aliases/", "search/", ""];

function rank(path: string): number {
  return order.findIndex((prefix) => path.startsWith(prefix));
}

/** Only with the lock held. Throws `write-failed`. */
export async function commitFiles(
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  onStep: OnStep,
): Promise<void> {
  const staging = join(folder, `${decided}.${randomBytes(4).toString("hex")}.partial`);
  try {
    for (const [path, content] of files) {
      await onStep(`stage ${path}`);
      const target = join(staging, path);
      await makeFolder(dirname(target));
      await writeFile(target, content, { flag: "wx", flush: true });
    }
    await onStep("decide");
    await rename(staging, join(folder, decided));
  } catch (cause) {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    throw failure(folder, cause);
  }
  await finish(folder, onStep);
}

/** Ends what a killed writer had decided, and removes what it had not. Only with the lock held. Throws `write-failed`. */
export async function recover(folder: string, onStep: OnStep): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (staged.test(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
  } catch (cause) {
    throw failure(folder, cause);
  }
  await finish(folder, onStep);
}

/** Whether a writer was killed between deciding and putting everything in place; or is at it. */
export async function isUnfinished(folder: string): Promise<boolean> {
  return (await stat(join(folder, decided)).catch(() => undefined)) !== undefined;
}

async function finish(folder: string, onStep: OnStep): Promise<void> {
  const root = join(folder, decided);
  try {
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    for (const path of paths) {
      await onStep(`place ${path}`);
      await makeFolder(dirname(join(folder, path)));
      await rename(join(root, path), join(folder, path));
    }
    await onStep("end");
    await rm(root, { recursive: true });
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT" && (cause as { path?: unknown }).path === root) return;
    throw failure(folder, cause);
  }
}

function failure(folder: string, cause: unknown): VeneError {
  if (cause instanceof VeneError) return cause;
  return new VeneError("write-failed", `cannot write the registry in ${folder}: ${messageOf(cause)}`, {
    hint: "check that the folder exists, is writable and has space",
    details: { folder, system: systemCodeOf(cause) },
    cause,
  });
}
