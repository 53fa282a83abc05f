/** Files in the making: they live in one folder of the hub's own disk, so that the rename into place is atomic. */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemCodeOf } from "../base/errors.ts";
import { HashedWriter } from "./hashed-writer.ts";

/** A file that was received, with what was measured while it came in. */
export interface ReceivedFile {
  readonly path: string;
  readonly size: number;
  /** 64 hex digits. */
  readonly sha256: string;
}

/** A source gave more bytes than it was allowed to. */
export class TooManyBytes extends Error {
  readonly limit: number;
  constructor(limit: number) {
    super(`more than ${limit} bytes came in`);
    this.limit = limit;
  }
}

export class Scratch {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes the folder, and throws away whatever a killed process left in it: nobody can finish those uploads any more. */
  async recover(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await mkdir(this.folder, { recursive: true });
  }

  /** A name that nobody uses yet. */
  newPath(): string {
    return join(this.folder, randomBytes(12).toString("hex"));
  }

  /**
   * Streams `source` into a new file, hashing on the way; at most `limit` bytes. The file is synced to disk. Throws
   * `TooManyBytes`, or what the disk or the source throws; the file is gone then.
   */
  async receive(source: AsyncIterable<Uint8Array>, limit: number): Promise<ReceivedFile> {
    const path = this.newPath();
    let size = 0;
    try {
      const sha256 = await withHandle(path, "wx", async (handle) => {
        const writer = new HashedWriter(handle);
        for await (const chunk of source) {
          size += chunk.length;
          if (size > limit) throw new TooManyBytes(limit);
          await writer.add(chunk);
        }
        return writer.end();
      });
      return { path, size, sha256 };
    } catch (cause) {
      await rm(path, { force: true }).catch(() => undefined);
      throw cause;
    }
  }

  /** Writes small content to a new file, synced, and moves it to `target`, whose folders are made. */
  async writeTo(target: string, content: Uint8Array | string): Promise<void> {
    const path = this.newPath();
    try {
      await withHandle(path, "wx", async (handle) => {
        await handle.writeFile(content);
        await handle.sync();
      });
      await moveInto(path, target);
    } catch (cause) {
      await rm(path, { force: true }).catch(() => undefined);
      throw cause;
    }
  }

  /** Removes what was last written more than `ageMs` ago: uploads that were begun and forgotten. */
  async sweep(ageMs: number): Promise<void> {
    const eldest = Date.now() - ageMs;
    for (const name of await readdir(this.folder)) {
      const path = join(this.folder, name);
      const status = await stat(path).catch(() => undefined);
      if (status !== undefined && status.mtimeMs < eldest) await rm(path, { recursive: true, force: true });
    }
  }
}

/** Renames a finished file or folder to its place, making the last two folders on the way but no repository that is gone. */
export async function moveInto(from: string, target: string): Promise<void> {
  try {
    await rename(from, target);
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw cause;
    await makeOneFolder(dirname(dirname(target)));
    await makeOneFolder(dirname(target));
    await rename(from, target);
  }
}

async function makeOneFolder(path: string): Promise<void> {
  await mkdir(path).catch((cause: unknown) => {
    if (systemCodeOf(cause) !== "EEXIST") throw cause;
  });
}

export async function withHandle<T>(
  path: string,
  flags: string | number,
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await open(path, flags, 0o644);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}
