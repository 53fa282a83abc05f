/** What this machine remembers of registries: how far each log had come, and which registry a namespace belongs to. */
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic.ts";
import { sha256Of } from "../base/digest.ts";
import { systemCodeOf, VeneError } from "../base/errors.ts";
import { type LogHead, logHeadSchema } from "../spec/registry-log.ts";
import { documentBytes, parseDocument } from "./documents.ts";
import { entriesBetween } from "./log.ts";
import type { Snapshot } from "./store.ts";

const seenSchema = z.object({ id: z.string(), location: z.string(), head: logHeadSchema });

/**
 * Compares a registry with what it was when last seen, and remembers what it is now. Throws `registry-integrity` where its log
 * is shorter than it was or has taken another course, and where another registry is at its place.
 */
export async function checkHistory(
  cacheFolder: string,
  { location, id, head, snapshot }: { location: string; id: string; head: LogHead; snapshot: Snapshot },
): Promise<void> {
  const path = seenPath(cacheFolder, location);
  const text = await textOf(path);
  const seen = text === undefined ? undefined : parseDocument(seenSchema, text, path);
  if (seen !== undefined && seen.id !== id) {
    throw new VeneError("registry-integrity", `${location} is the registry ${id}; it was ${seen.id} before`, {
      hint: `if that is meant, delete ${path}`,
      details: { location, found: id, expected: seen.id },
    });
  }
  if (seen?.head.seq === head.seq && seen.head.hash === head.hash) return;
  try {
    if (seen !== undefined) await entriesBetween(snapshot, seen.head, head);
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "registry-integrity") throw thrown;
    throw new VeneError(thrown.code, `${location}: ${thrown.message}`, {
      hint: `${thrown.hint}; to accept it, delete ${path}`,
      details: { ...thrown.details, location, path },
    });
  }
  // Without a place to remember things there is nothing to compare with next time; the registry can be read all the same.
  await writeFileAtomic(path, documentBytes({ id, location, head })).catch(() => undefined);
}

function seenPath(cacheFolder: string, location: string): string {
  return join(cacheFolder, "registry", "seen", `${sha256Of(location).slice(0, 32)}.json`);
}

/** Whatever was at a place before: a new registry is made there now. */
export async function forgetHistory(cacheFolder: string, location: string): Promise<void> {
  await rm(seenPath(cacheFolder, location), { force: true }).catch(() => undefined);
}

/**
 * The registry that a namespace belongs to on this machine: the first that was seen to have it. A name that turns up in another
 * registry later is not what was meant.
 */
export async function ownerOf(cacheFolder: string, namespace: string): Promise<string | undefined> {
  return (await textOf(namespacePath(cacheFolder, namespace)))?.trim();
}

export async function bindNamespace(cacheFolder: string, namespace: string, id: string): Promise<void> {
  const path = namespacePath(cacheFolder, namespace);
  try {
    await mkdir(join(path, ".."), { recursive: true });
    const handle = await open(path, "wx");
    await handle.writeFile(`${id}\n`).finally(() => handle.close());
  } catch {
    // Bound by another process meanwhile, or nowhere to remember it.
  }
}

export function namespacePath(cacheFolder: string, namespace: string): string {
  return join(cacheFolder, "registry", "namespaces", namespace);
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes(systemCodeOf(cause) ?? "")) return undefined;
    throw new VeneError("file-unreadable", `cannot read ${path}`, { details: { path }, cause });
  }
}
