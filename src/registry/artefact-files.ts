/** The files that an artefact's folder is packed, signed and checked by: which they are, and their digests. */
import { lstat, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { belongsToArtefact, listFolder } from "../artefact/folder.ts";
import type { Sha256 } from "../base/brands.ts";
import { sha256OfFile } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";

/** A file of an artefact, by what it contains. */
export interface FileDigest {
  /** As in the folder: artefacts have no subfolders. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: Sha256;
}

/** Order of names everywhere: by UTF-16 code units, whatever the locale. */
export function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  if (one.name === other.name) return 0;
  return one.name < other.name ? -1 : 1;
}

/**
 * What a folder has of an artefact, model.sig included, hashed and in order; and the names of everything else in it. Throws
 * `file-missing`, `file-unreadable`, and `bundle-invalid` for a link that leads out of the folder: it could lead to anything.
 */
export async function artefactFileDigests(
  folder: string,
): Promise<{ readonly files: readonly FileDigest[]; readonly others: readonly string[] }> {
  const found = await listFolder(folder);
  if (found === undefined) {
    throw new VeneError("file-missing", `there is no folder ${folder}`, { details: { path: folder } });
  }
  const files: FileDigest[] = [];
  for (const name of found.filter(belongsToArtefact)) {
    const path = join(folder, name);
    await refuseLink(path, folder);
    const { size } = await lstat(await realpath(path));
    files.push({ name, size, sha256: await sha256OfFile(path) });
  }
  return { files: files.sort(byName), others: found.filter((name) => !belongsToArtefact(name)) };
}

/** Links into the blobs of the same repository are how the Hub's cache stores files; any other one is refused. */
async function refuseLink(path: string, folder: string): Promise<void> {
  const status = await lstat(path);
  if (status.isFile()) return;
  if (status.isSymbolicLink()) {
    const [target, blobs] = await Promise.all([realOrNone(path), realOrNone(join(folder, "..", "..", "blobs"))]);
    if (target !== undefined && blobs !== undefined && target.startsWith(blobs + sep)) return;
  }
  throw new VeneError("bundle-invalid", `${path} is a link or no regular file`, {
    hint: "copy the folder with its content (cp -rL), and use the copy",
    details: { path },
  });
}

async function realOrNone(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}
