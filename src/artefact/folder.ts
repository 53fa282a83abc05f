/** Writes an artefact's folder whole, and never over a folder that holds anything else. */
import { readdir, realpath, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { writeFolderAtomic } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { tensorsFileName } from "../spec/manifest.ts";

export const manifestFileName = "intervention.json";
export const cardFileName = "README.md";
export const pyveneFileName = "config.json";
/** An OpenSSF model signature over the other files. */
export const signatureFileName = "model.sig";

/** Largest manifest or config that is read. */
export const MAX_JSON_BYTES = 64 * 1024 * 1024;

const ownFiles: readonly string[] = [
  manifestFileName,
  tensorsFileName,
  cardFileName,
  pyveneFileName,
  signatureFileName,
];

/** Files that an artefact consists of, and that may therefore vanish when another one is written over it. */
export function belongsToArtefact(fileName: string): boolean {
  return ownFiles.includes(fileName) || isKeyFile(fileName);
}

export function isKeyFile(fileName: string): boolean {
  return fileName.startsWith("intkey_") && fileName.endsWith(".bin");
}

/** Names in a folder, sorted; undefined when it does not exist. Throws `file-unreadable`. */
export async function listFolder(path: string): Promise<string[] | undefined> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return undefined;
    throw new VeneError("file-unreadable", `cannot list ${path}: ${messageOf(cause)}`, { details: { path }, cause });
  }
}

/**
 * Writes `files` as the folder `path`, all or nothing. An existing folder is replaced only if it is empty or holds an artefact
 * and nothing else. Throws `write-failed`.
 */
export async function writeArtefactFolder(
  path: string,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> {
  await fillArtefactFolder(path, async (staging) => {
    for (const [fileName, content] of files) {
      if (basename(fileName) !== fileName || !belongsToArtefact(fileName)) {
        throw new VeneError("write-failed", `${JSON.stringify(fileName)} is no file of an artefact`);
      }
      await writeFile(join(staging, fileName), content, { flush: true });
    }
  });
}

/** {@link writeArtefactFolder} for files that `fill` writes, into the folder it is given; what it throws leaves `path` as it was. */
export async function fillArtefactFolder(path: string, fill: (staging: string) => Promise<void>): Promise<void> {
  const target = await realTarget(path);
  await refuseToLose(target);
  await writeFolderAtomic(target, fill);
}

/** Follows links, so that the folder is replaced and not the link to it. */
async function realTarget(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return absolute;
    throw refusal(path, messageOf(cause), cause);
  }
}

async function refuseToLose(target: string): Promise<void> {
  const cwd = `${process.cwd()}/`;
  if (cwd.startsWith(target === dirname(target) ? target : `${target}/`)) {
    throw refusal(target, "it is or holds the current folder");
  }
  const found = await foundIn(target);
  const others = found.filter((fileName) => !belongsToArtefact(fileName));
  if (others.length > 0) throw refusal(target, `it holds other files: ${others.slice(0, 8).join(", ")}`);
  if (found.length > 0 && !(await holdsArtefact(target, found)))
    throw refusal(target, "it holds files that are no artefact");
}

async function foundIn(target: string): Promise<string[]> {
  try {
    return (await listFolder(target)) ?? [];
  } catch (cause) {
    throw refusal(target, "it exists and is not a folder that can be read", cause);
  }
}

async function holdsArtefact(folder: string, found: readonly string[]): Promise<boolean> {
  if (found.includes(manifestFileName)) return true;
  if (!found.includes(pyveneFileName)) return false;
  const config = await readSmallFile(join(folder, pyveneFileName), MAX_JSON_BYTES);
  return Buffer.from(config).toString("latin1").includes("representations");
}

function refusal(path: string, why: string, cause?: unknown): VeneError {
  return new VeneError("write-failed", `will not replace ${path}: ${why}`, {
    hint: "choose another folder, or move what is in it",
    details: { path },
    cause,
  });
}
