/** A registry in a folder: on this disk, on a share, in a git repository. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { systemCodeOf, VeneError } from "../base/errors.ts";
import { commitFiles, isUnfinished, type OnStep, recover } from "./folder-commit.ts";
import { withLock } from "./folder-lock.ts";
import { logHeadPath, registryPath } from "./names.ts";
import { type Commit, type CopyOptions, moved, type RegistryStore, type Snapshot, type WantedFile } from "./store.ts";

const CHUNK = 1 << 20;
const MAX_HEAD_BYTES = 4096;

export class FolderStore implements RegistryStore {
  readonly location: string;
  readonly #onStep: OnStep;

  constructor(folder: string, onStep: OnStep = () => undefined) {
    this.location = resolve(folder);
    this.#onStep = onStep;
  }

  async snapshot(): Promise<Snapshot> {
    const folder = this.location;
    return {
      head: await this.#head(),
      notices: [],
      read: (path, limit) => readIfThere(join(folder, path), limit),
      copy: (file, handle, options) => copyFile(join(folder, file.path), file, handle, options),
    };
  }

  async settle(signal?: AbortSignal): Promise<void> {
    if (await isUnfinished(this.location)) {
      await withLock(this.location, signal, () => recover(this.location, this.#onStep));
    }
  }

  async commit({ head, files, signal }: Commit): Promise<undefined> {
    return withLock(this.location, signal, async () => {
      await recover(this.location, this.#onStep);
      const found = await this.#head();
      if (found !== head) throw moved(this.location, head, found);
      await commitFiles(this.location, files, this.#onStep);
      return undefined;
    });
  }

  /** Every change is logged, so the log's head stands for the whole; before the first one it is what registry.json says. */
  async #head(): Promise<string> {
    for (const path of [logHeadPath, registryPath]) {
      const bytes = await readIfThere(join(this.location, path), path === logHeadPath ? MAX_HEAD_BYTES : CHUNK);
      if (bytes !== undefined) return createHash("sha256").update(bytes).digest("hex");
    }
    return "";
  }
}

async function readIfThere(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    return await readSmallFile(path, limit);
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw thrown;
  }
}

function isAbsent(thrown: unknown): boolean {
  if (!(thrown instanceof VeneError)) return false;
  return thrown.code === "file-missing" || systemCodeOf(thrown.cause) === "ENOTDIR";
}

async function copyFile(
  path: string,
  wanted: WantedFile,
  handle: FileHandle,
  { signal, onBytes }: CopyOptions,
): Promise<boolean> {
  try {
    await withFile(path, async (source) => {
      if (source.size !== wanted.size) throw differs(path, "size", source.size, wanted.size);
      const hash = createHash("sha256");
      for (let at = 0; at < source.size; at += CHUNK) {
        throwIfAborted(signal);
        const bytes = await source.read(at, Math.min(at + CHUNK, source.size));
        hash.update(bytes);
        await handle.writeFile(bytes);
        onBytes?.(bytes.length);
      }
      const found = hash.digest("hex");
      if (found !== wanted.sha256) throw differs(path, "sha256", found, wanted.sha256);
    });
    return true;
  } catch (thrown) {
    if (isAbsent(thrown)) return false;
    throw thrown;
  }
}

function differs(path: string, what: string, found: string | number, expected: string | number): VeneError {
  return new VeneError("registry-integrity", `${path} has the ${what} ${found}, expected ${expected}`, {
    hint: "the file was changed or damaged; nothing of it was used",
    details: { path, found, expected },
  });
}
