/** Writes what arrives in small pieces as large ones, one of them on its way to the disk while the next is collected. */
import type { FileHandle } from "node:fs/promises";

const PIECE_BYTES = 1 << 20;

export class WriteBehind {
  readonly #handle: FileHandle;
  #position: number;
  #filling = Buffer.allocUnsafe(PIECE_BYTES);
  #spare = Buffer.allocUnsafe(PIECE_BYTES);
  #filled = 0;
  #writing: Promise<void> = Promise.resolve();

  /** Appends from `position` on, in bytes. */
  constructor(handle: FileHandle, position: number) {
    this.#handle = handle;
    this.#position = position;
  }

  /** Takes a copy. Rejects with what an earlier write failed with. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.length; ) {
      const part = chunk.subarray(taken, taken + PIECE_BYTES - this.#filled);
      this.#filling.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === PIECE_BYTES) await this.#send();
    }
  }

  /** Resolves when all that was added is written. */
  async flush(): Promise<void> {
    await this.#send();
    await this.#writing;
  }

  async #send(): Promise<void> {
    await this.#writing;
    const piece = this.#filling.subarray(0, this.#filled);
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#writing = this.#write(piece, this.#position);
    // Whoever adds or flushes next gets the error; until then it is no unhandled one.
    this.#writing.catch(() => undefined);
    this.#position += this.#filled;
    this.#filled = 0;
  }

  async #write(piece: Buffer, position: number): Promise<void> {
    for (let done = 0; done < piece.length; ) {
      done += (await this.#handle.write(piece, done, piece.length - done, position + done)).bytesWritten;
    }
  }
}
