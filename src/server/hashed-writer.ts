/** Writes bytes to a file and hashes them on the way; the disk works while the next bytes come in. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

/** Bytes that are handed to the disk at once: sockets give them in smaller pieces. */
const BATCH = 1 << 20;

export class HashedWriter {
  readonly #handle: FileHandle;
  readonly #hash = createHash("sha256");
  #position: number;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  /** `position`: where in the file the bytes begin. */
  constructor(handle: FileHandle, position = 0) {
    this.#handle = handle;
    this.#position = position;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (this.#batchBytes >= BATCH) await this.#handOver();
  }

  /** Waits for the disk, syncs, and gives the sha256 of everything that was added. */
  async end(): Promise<string> {
    await this.#handOver();
    await this.#writing;
    await this.#handle.sync();
    return this.#hash.digest("hex");
  }

  async #handOver(): Promise<void> {
    const bytes = Buffer.concat(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
    await this.#writing;
    this.#writing = writeAt(this.#handle, bytes, this.#position);
    this.#writing.catch(() => undefined); // whoever waits for it next hears of it
    this.#position += bytes.length;
  }
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
