/** One repository in the local cache, as Python lays it out: blobs named by digest, snapshots of links to them. */
import {
  copyFile,
  type FileHandle,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { makeFolder } from "../base/atomic.ts";
import { sha256OfFile } from "../base/digest.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { cacheError, temporaryName } from "./cache-records.ts";
import { digestOfHex, type FileDigest, fileMatches, type RepoFile } from "./digests.ts";
import type { HubEnvironment } from "./environment.ts";
import { cacheFolderName, type RepoId } from "./repo-id.ts";

/** Cached files up to this size are hashed again whenever they are used; it takes milliseconds. */
const SMALL_BYTES = 16 << 20;
const MAX_SNAPSHOT_FILES = 100_000;
/** What a killed process left is removed after a day: until then somebody may be writing it. */
const ABANDONED_MS = 24 * 3600 * 1000;

/** Files appear by renaming, whole and verified, so that any number of processes can work on the same cache. */
export class RepoCache {
  readonly folder: string;
  readonly #cacheFolder: string;
  readonly #symlinks: boolean;

  constructor(environment: HubEnvironment, repo: RepoId) {
    this.folder = join(environment.cacheFolder, cacheFolderName(repo));
    this.#cacheFolder = environment.cacheFolder;
    this.#symlinks = environment.symlinks;
  }

  snapshotFolder(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /**
   * Whether a snapshot has a file with the bytes that it should have. Size and place are always checked, digests of small
   * files, too, and of large ones under `verify`. A good blob without its link in the snapshot counts as absent.
   */
  async has(commit: string, file: RepoFile, verify: boolean): Promise<boolean> {
    return this.#isGood(join(this.snapshotFolder(commit), file.path), file, verify);
  }

  /** Puts a file into a snapshot from a blob that is there already. False if there is none, or a damaged one. */
  async link(commit: string, file: RepoFile, verify: boolean): Promise<boolean> {
    const blob = this.#blob(file.digest);
    if (!(await this.#isGood(blob, file, verify))) return false;
    await this.#place(blob, commit, file, false);
    return true;
  }

  /** Has `fill` write a file, and puts it into a snapshot if that succeeds. Nothing is left behind otherwise. */
  async add(commit: string, file: RepoFile, fill: (handle: FileHandle) => Promise<void>): Promise<void> {
    const blob = this.#blob(file.digest);
    const temporary = join(dirname(blob), temporaryName(file.digest.hex));
    try {
      // A repository's folder without snapshots/ is one that Python refuses to list.
      await makeFolder(this.snapshotFolder(commit));
      await makeFolder(dirname(blob));
      const handle = await open(temporary, "wx");
      try {
        await fill(handle);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(temporary, blob);
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw asCacheError(cause, blob);
    }
    await this.#place(blob, commit, file, true);
  }

  /** The files of a snapshot as they lie there, for caches without a listing; undefined if the commit was never pulled. */
  async snapshotFiles(commit: string): Promise<readonly RepoFile[] | undefined> {
    const root = this.snapshotFolder(commit);
    const found: RepoFile[] = [];
    const walk = async (folder: string): Promise<void> => {
      for (const entry of await readdir(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) await walk(path);
        else found.push(await fileAsItLies(root, path));
        if (found.length > MAX_SNAPSHOT_FILES) throw new VeneError("hub-cache", `${root} has too many files`);
      }
    };
    try {
      await walk(root);
      return found;
    } catch (cause) {
      if (systemCodeOf(cause) === "ENOENT" && (await stat(root).catch(() => undefined)) === undefined) return undefined;
      throw asCacheError(cause, root);
    }
  }

  /** Removes what processes that were killed left of their downloads. */
  async sweep(): Promise<void> {
    for (const folder of [this.folder, join(this.folder, "blobs")]) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (!/\.[0-9a-f]{8}\.incomplete$/.test(name)) continue;
        const path = join(folder, name);
        const status = await stat(path).catch(() => undefined);
        if (status !== undefined && Date.now() - status.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
      }
    }
  }

  #blob(digest: FileDigest): string {
    return join(this.folder, "blobs", digest.hex);
  }

  /** Links may lead to blobs, and blobs to Python's store of shared ones; nowhere else. */
  async #isGood(path: string, file: RepoFile, verify: boolean): Promise<boolean> {
    try {
      const real = await realpath(path);
      const inside = [await realpath(this.folder), await realpath(this.#cacheFolder)];
      if (!inside.some((folder) => real.startsWith(folder + sep))) return false;
      const status = await stat(real);
      if (!status.isFile() || status.size !== file.size) return false;
      return file.size > SMALL_BYTES && !verify ? true : await fileMatches(real, file);
    } catch (cause) {
      if (["ENOENT", "ENOTDIR", "ELOOP"].includes(systemCodeOf(cause) ?? "")) return false;
      throw asCacheError(cause, path);
    }
  }

  async #place(blob: string, commit: string, file: RepoFile, isNew: boolean): Promise<void> {
    const path = join(this.snapshotFolder(commit), file.path);
    const temporary = join(this.folder, temporaryName());
    try {
      await makeFolder(dirname(path));
      if (this.#symlinks && (await linked(relative(dirname(path), blob), temporary)))
        return await rename(temporary, path);
      if (isNew) return await rename(blob, path);
      await copyFile(blob, temporary);
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw asCacheError(cause, path);
    }
  }
}

/** False where the file system or the user may not have symbolic links. */
async function linked(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path);
    return true;
  } catch (cause) {
    if (["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "UNKNOWN"].includes(systemCodeOf(cause) ?? "")) return false;
    throw cause;
  }
}

/** A link's target is named by the digest, possibly on its way into the store of shared blobs; a copy has to be hashed. */
async function fileAsItLies(root: string, path: string): Promise<RepoFile> {
  const target = await readlink(path).catch(() => undefined);
  const digest = target === undefined ? undefined : digestOfHex(basename(target));
  return {
    path: relative(root, path).split(sep).join("/"),
    size: (await stat(path)).size,
    digest: digest ?? { algorithm: "sha256", hex: await sha256OfFile(path) },
  };
}

function asCacheError(cause: unknown, path: string): VeneError {
  if (cause instanceof VeneError) return cause;
  const code = systemCodeOf(cause);
  const inTheWay = code === "EISDIR" || code === "ENOTEMPTY" || code === "ENOTDIR" || code === "EEXIST";
  const why = inTheWay ? "something that does not belong there is in the way" : messageOf(cause);
  return cacheError(`the Hub cache cannot be used at ${path}: ${why}`, path, cause);
}
