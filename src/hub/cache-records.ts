/** The small files of a cached repository: refs/<revision> with a commit, trees/<commit>.json with the listing. As Python's. */
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { type JsonValue, parseJson } from "../formats/json.ts";
import { digestOfHex, type ListedFile, type RepoFile } from "./digests.ts";
import { isCommit, isSafePath } from "./repo-id.ts";

const MAX_LISTING_BYTES = 64 << 20;

/**
 * The commit that a revision was when it was last pulled; undefined if it never was. Throws `hub-cache` for a damaged record.
 */
export async function readRef(folder: string, revision: string): Promise<string | undefined> {
  const path = join(folder, "refs", revision);
  let text: string;
  try {
    text = (await readFile(path, "utf8")).trim();
  } catch (cause) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(systemCodeOf(cause) ?? "")) return undefined;
    throw cacheError(`cannot read ${path}: ${messageOf(cause)}`, path, cause);
  }
  const beginning = text.slice(0, 60);
  if (isCommit(text)) return text;
  throw new VeneError("hub-cache", `${path} holds ${JSON.stringify(beginning)}, expected a commit`, {
    hint: "delete that file, and pull again with a network",
    details: { path },
  });
}

/** Records what a revision is now. Does not write what is there already, so that a read-only cache can be used. */
export async function writeRef(folder: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = join(folder, "refs", revision);
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before !== commit) await replaceFile(folder, path, commit);
}

/** The listing of a commit as vene or Python recorded it; undefined if there is none that makes sense. */
export async function readListing(folder: string, commit: string): Promise<readonly ListedFile[] | undefined> {
  const path = join(folder, "trees", `${commit}.json`);
  try {
    const json = parseJson(await readSmallFile(path, MAX_LISTING_BYTES), { name: path });
    if (!isObject(json) || json["format_version"] !== 1 || !isObject(json["files"])) return undefined;
    const files = Object.entries(json["files"]).map(([name, entry]) => listed(name, entry));
    return files.every((file) => file !== undefined) ? files : undefined;
  } catch {
    // A listing can be asked for again: one that cannot be read is as good as none.
    return undefined;
  }
}

function listed(path: string, entry: JsonValue): ListedFile | undefined {
  if (!isObject(entry) || !isSafePath(path)) return undefined;
  const { size, blob_id, lfs_sha256 } = entry;
  const hex = lfs_sha256 ?? blob_id;
  const digest = typeof hex === "string" ? digestOfHex(hex) : undefined;
  if (digest === undefined || !isCommit(blob_id)) return undefined;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
  return { path, size, digest, blobId: blob_id };
}

/** Records a listing, once: what a commit holds never changes. */
export async function writeListing(folder: string, commit: string, files: readonly ListedFile[]): Promise<void> {
  const known = await readListing(folder, commit);
  if (known !== undefined && sameFiles(known, files)) return;
  const entries = [...files]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, size, digest, blobId }) => {
      const lfs = digest.algorithm === "sha256" ? { lfs_sha256: digest.hex, lfs_size: size } : {};
      return [path, { size, blob_id: blobId, ...lfs }] as const;
    });
  const json = JSON.stringify({ format_version: 1, files: Object.fromEntries(entries) }, undefined, 1);
  await replaceFile(folder, join(folder, "trees", `${commit}.json`), json);
}

function sameFiles(a: readonly RepoFile[], b: readonly RepoFile[]): boolean {
  const of = (files: readonly RepoFile[]) =>
    files.map(({ path, size, digest }) => `${path} ${size} ${digest.hex}`).sort();
  return JSON.stringify(of(a)) === JSON.stringify(of(b));
}

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The temporary file is in the repository's folder: Python takes every file below refs/ for a ref. */
async function replaceFile(folder: string, path: string, content: string): Promise<void> {
  const temporary = join(folder, temporaryName());
  try {
    await makeFolder(dirname(path));
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cacheError(`cannot write ${path}: ${messageOf(cause)}`, path, cause);
  }
}

/** A name nobody else uses, recognisable as unfinished should the process end before it is renamed. */
export function temporaryName(stem = ""): string {
  return `${stem}.${randomBytes(4).toString("hex")}.incomplete`;
}

export function cacheError(message: string, path: string, cause: unknown): VeneError {
  const system = systemCodeOf(cause);
  return new VeneError("hub-cache", message, {
    hint:
      system === "ENOSPC"
        ? "free some space, or set HF_HOME to another disk"
        : "check the folder, or set HF_HOME to another one",
    details: { path, system },
    cause,
  });
}
