/** Files and folders that appear whole or not at all: a unique temporary name beside the target, fsync, rename. */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf, systemCodeOf, VeneError } from "./errors.ts";

function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.partial`);
}

/**
 * Writes `path` through `fill`, which gets an open handle; the target changes only after everything is on disk. `mode` is the
 * file's from the first moment on.
 */
export async function writeFileWith(
  path: string,
  fill: (handle: FileHandle) => Promise<void>,
  mode = 0o666,
): Promise<void> {
  const temporary = temporaryBeside(path);
  try {
    await makeFolder(dirname(path));
    const handle = await open(temporary, "wx", mode);
    try {
      await fill(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await removeTraces(temporary);
    throw asWriteFailure(path, cause);
  }
}

/** Writes `path` atomically from bytes or text. Throws `write-failed`. */
export async function writeFileAtomic(path: string, content: Uint8Array | string, mode?: number): Promise<void> {
  await writeFileWith(path, async (handle) => handle.writeFile(content), mode);
}

/**
 * Builds a folder in a sibling temporary folder and renames it into place. An existing target is replaced: moved aside first,
 * put back if the rename fails. Throws `write-failed`.
 */
export async function writeFolderAtomic(path: string, fill: (staging: string) => Promise<void>): Promise<void> {
  const staging = temporaryBeside(path);
  const aside = temporaryBeside(path);
  try {
    await makeFolder(staging);
    await fill(staging);
    for (let tries = 1; !(await replaceFolder(staging, path, aside)); tries++) {
      if (tries === MAX_TRIES) throw new Error(`other processes kept writing it`);
    }
  } catch (cause) {
    await removeTraces(staging);
    throw asWriteFailure(path, cause);
  }
}

/** Others may put a folder in place between our two renames; then it is moved aside in turn. */
const MAX_TRIES = 20;

/** False when another process got there first. */
async function replaceFolder(staging: string, path: string, aside: string): Promise<boolean> {
  const replaced = await renameIfThere(path, aside);
  try {
    await rename(staging, path);
  } catch (cause) {
    const taken = systemCodeOf(cause) === "ENOTEMPTY" || systemCodeOf(cause) === "EEXIST";
    if (replaced && taken) await rm(aside, { recursive: true, force: true });
    else if (replaced) await rename(aside, path);
    if (taken) return false;
    throw cause;
  }
  if (replaced) await rm(aside, { recursive: true, force: true });
  return true;
}

/** A folder and those above it. Level by level: node's own recursive mkdir runs for ever where a parent refuses children, as /proc does. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (cause) {
    if (systemCodeOf(cause) === "EEXIST") return;
    if (systemCodeOf(cause) !== "ENOENT" || dirname(path) === path) throw cause;
    await makeFolder(dirname(path));
    await mkdir(path).catch((again: unknown) => {
      if (systemCodeOf(again) !== "EEXIST") throw again;
    });
  }
}

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return false;
    throw cause;
  }
}

/** What stopped the writing is what is reported, even where cleaning up fails for the same reason. */
async function removeTraces(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** A VeneError passes through (the content was at fault, not the disk); anything else is the disk's. */
function asWriteFailure(path: string, cause: unknown): VeneError {
  if (cause instanceof VeneError) return cause;
  return new VeneError("write-failed", `cannot write ${path}: ${messageOf(cause)}`, {
    hint: "check that the folder exists, is writable and has space",
    details: { path, system: systemCodeOf(cause) },
    cause,
  });
}
