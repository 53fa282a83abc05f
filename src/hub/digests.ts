/** The two digests the Hub names files by: sha256 of what is in LFS, git's blob id of everything else. */
import { createHash, type Hash } from "node:crypto";
import { withFile } from "../base/bytes.ts";

export interface FileDigest {
  readonly algorithm: "sha256" | "git-sha1";
  /** Lower-case hex: 64 digits, 40 for git-sha1. Also the file's name in the cache. */
  readonly hex: string;
}

/** What a file of a repository is, as its listing says. */
export interface RepoFile {
  /** Relative, with slashes, and safe to join to a folder. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly digest: FileDigest;
}

/** With git's blob id of what git itself holds: the file, or its pointer into LFS. */
export interface ListedFile extends RepoFile {
  readonly blobId: string;
}

/** A digest from its hex digits alone, as an ETag or the name of a blob gives it; undefined if it is neither. */
export function digestOfHex(hex: string): FileDigest | undefined {
  if (/^[0-9a-f]{64}$/.test(hex)) return { algorithm: "sha256", hex };
  return /^[0-9a-f]{40}$/.test(hex) ? { algorithm: "git-sha1", hex } : undefined;
}

/** A hash ready for the content of `size` bytes. */
export function hasher({ algorithm }: Pick<FileDigest, "algorithm">, size: number): Hash {
  if (algorithm === "sha256") return createHash("sha256");
  return createHash("sha1").update(`blob ${size}\0`);
}

const CHUNK = 1 << 20;

/** Whether a file has the size and the digest. Reads all of it. Throws `file-missing`, `file-unreadable`. */
export async function fileMatches(path: string, { size, digest }: RepoFile): Promise<boolean> {
  return withFile(path, async (source) => {
    if (source.size !== size) return false;
    const hash = hasher(digest, size);
    for (let at = 0; at < size; at += CHUNK) hash.update(await source.read(at, Math.min(at + CHUNK, size)));
    return hash.digest("hex") === digest.hex;
  });
}
