/** Large files by sha256, a store for each repository: that one tenant has an object says nothing to others. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { sha256OfFile } from "../base/digest.ts";
import { systemCodeOf } from "../base/errors.ts";
import { HttpError } from "./http/http-error.ts";
import { moveInto, type ReceivedFile, type Scratch, TooManyBytes } from "./scratch.ts";

/** What an uploader claims about a large file. */
export interface LfsObject {
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Where the objects lie: any repository, by its folder. */
export interface LfsPlace {
  readonly folder: string;
}

/** Bytes as they come in, or a finished file in the scratch folder, which `put` takes away. */
export type LfsSource = AsyncIterable<Uint8Array> | { readonly file: string };

export class LfsStore {
  readonly #scratch: Scratch;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Where git-lfs keeps objects, too. */
  pathOf(place: LfsPlace, sha256: string): string {
    return join(place.folder, "lfs", "objects", sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  }

  /** Bytes of a stored object; undefined when this repository does not have it. */
  async sizeOf(place: LfsPlace, sha256: string): Promise<number | undefined> {
    try {
      return (await stat(this.pathOf(place, sha256))).size;
    } catch (cause) {
      if (systemCodeOf(cause) === "ENOENT") return undefined;
      throw cause;
    }
  }

  /**
   * Stores an object after checking every byte of it against what was claimed. Storing it again changes nothing. Throws
   * HttpError 413 (longer than claimed) or 400 (shorter, or another digest); nothing is kept then.
   */
  async put(place: LfsPlace, source: LfsSource, claimed: LfsObject): Promise<void> {
    const received = "file" in source ? await this.#measure(source.file) : await this.#receive(source, claimed.size);
    try {
      if (received.size !== claimed.size) {
        throw new HttpError(400, `the object has ${received.size} bytes, ${claimed.size} were announced`);
      }
      if (received.sha256 !== claimed.sha256) {
        throw new HttpError(400, `the object's sha256 is ${received.sha256}, ${claimed.sha256} was announced`);
      }
      await moveInto(received.path, this.pathOf(place, claimed.sha256));
    } catch (cause) {
      await rm(received.path, { force: true });
      throw cause;
    }
  }

  async #receive(source: AsyncIterable<Uint8Array>, size: number): Promise<ReceivedFile> {
    try {
      return await this.#scratch.receive(source, size);
    } catch (cause) {
      if (cause instanceof TooManyBytes)
        throw new HttpError(413, `the object is longer than the ${size} bytes announced`);
      throw cause;
    }
  }

  async #measure(path: string): Promise<ReceivedFile> {
    return { path, size: (await stat(path)).size, sha256: await sha256OfFile(path) };
  }
}
