/** Reads a bundle as a stream of files: one gzip member around one tar archive that holds plain files and ends as it should. */
import { Parser, type ReadEntry } from "tar";
import { type ByteSource, withFile } from "../base/bytes.ts";
import { messageOf } from "../base/errors.ts";
import { gunzipped, invalid } from "./bundle-gzip.ts";
import { nameFault, nameSlot } from "./bundle-names.ts";

export interface BundleEntry {
  readonly name: string;
  /** Bytes, as the archive says. */
  readonly size: number;
}

/** Takes the content of one file, in pieces and in order. */
export interface EntrySink {
  write(piece: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const BLOCK = 512;
const MAX_ENTRIES = 4096;
const MAX_META_BYTES = 1 << 16;

/**
 * Hands every file of a bundle to `open`, which throws to refuse it, gives a sink, or undefined to pass over it. Nothing is
 * written here. Throws `bundle-invalid` for an archive with anything but plain files of an artefact's names, twice the same name
 * (also in another case or normal form), damage, truncation or a tail, and `file-missing`, `file-unreadable`.
 */
export async function readBundle(
  file: string,
  open: (entry: BundleEntry) => Promise<EntrySink | undefined>,
): Promise<void> {
  await withFile(file, async (source) => {
    const reader = new ArchiveReader(source, open);
    let rest: Uint8Array = new Uint8Array(0);
    for await (const chunk of gunzipped(source)) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      rest = rest.subarray(await reader.read(rest));
    }
    reader.finish(rest.length);
  });
}

/** Feeds tar's parser so that each piece is a header, or content of the one file that is open: never both. */
class ArchiveReader {
  readonly #source: ByteSource;
  readonly #open: (entry: BundleEntry) => Promise<EntrySink | undefined>;
  readonly #parser: Parser;
  readonly #slots = new Set<string>();
  #headers = 0;
  #begun = false;
  #ending = false;
  #ended = false;
  #fault: unknown;
  #arrived: ReadEntry | undefined;
  #entry: ReadEntry | undefined;
  #sink: EntrySink | undefined;
  #left = 0;
  #pieces: Uint8Array[] = [];

  constructor(source: ByteSource, open: (entry: BundleEntry) => Promise<EntrySink | undefined>) {
    this.#source = source;
    this.#open = open;
    this.#parser = new Parser({ strict: true, maxMetaEntrySize: MAX_META_BYTES, brotli: false });
    this.#parser.on("error", (cause: unknown) => {
      this.#fault ??= cause;
    });
    this.#parser.on("entry", (entry: ReadEntry) => this.#arrive(entry));
    this.#parser.on("ignoredEntry", (entry: ReadEntry) => this.#arrive(entry));
    this.#parser.on("nullBlock", () => {
      this.#ending = true;
    });
    this.#parser.on("eof", () => {
      this.#ended = true;
    });
  }

  /** Takes whole blocks off the start and says how many bytes those were. */
  async read(bytes: Uint8Array): Promise<number> {
    let at = 0;
    while (bytes.length - at >= BLOCK) {
      const whole = bytes.length - at - ((bytes.length - at) % BLOCK);
      if (this.#ended) {
        if (bytes.subarray(at, at + whole).some((byte) => byte !== 0)) throw this.#invalid("something follows its end");
        return at + whole;
      }
      const length = Math.min(whole, this.#entry?.blockRemain || BLOCK);
      await this.#take(bytes.subarray(at, at + length));
      at += length;
    }
    return at;
  }

  /** After everything was read; `left` bytes are less than a block. */
  finish(left: number): void {
    if (this.#ended && left === 0) return;
    throw this.#invalid(this.#entry === undefined ? "it does not end with two empty blocks" : "it is truncated");
  }

  async #take(piece: Uint8Array): Promise<void> {
    if (this.#entry === undefined) this.#checkHeader(piece);
    try {
      this.#parser.write(piece);
    } catch (cause) {
      this.#fault ??= cause;
    }
    if (this.#fault !== undefined) throw this.#invalid(messageOf(this.#fault), this.#fault);
    if (this.#arrived !== undefined) await this.#enter(this.#arrived);
    await this.#drain();
  }

  /** The parser would go on to unpack what looks compressed once more, which no name does, and to read past a lone empty block. */
  #checkHeader(block: Uint8Array): void {
    if (++this.#headers > 4 * MAX_ENTRIES) throw this.#invalid(`it has more than ${MAX_ENTRIES} files`);
    if (!this.#begun && block.subarray(0, 2).some((byte) => byte < 0x20 || byte > 0x7e)) {
      throw this.#invalid("it holds no tar archive");
    }
    if (this.#ending && block.some((byte) => byte !== 0)) throw this.#invalid("an empty block stands before its end");
    this.#begun = true;
  }

  /** Within the parser's write, so this only notes what came. */
  #arrive(entry: ReadEntry): void {
    this.#arrived = entry;
    entry.on("data", (piece: Uint8Array) => this.#pieces.push(piece));
  }

  async #enter(entry: ReadEntry): Promise<void> {
    this.#arrived = undefined;
    const { path: name, size } = entry;
    const fault = this.#faultOf(entry);
    if (fault !== undefined) {
      throw this.#invalid(`${JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name)} ${fault}`);
    }
    if (this.#slots.add(nameSlot(name)).size > MAX_ENTRIES) {
      throw this.#invalid(`it has more than ${MAX_ENTRIES} files`);
    }
    this.#sink = await this.#open({ name, size });
    this.#left = size;
    this.#entry = entry;
  }

  #faultOf({ path: name, type, size, mode = 0, globalExtended }: ReadEntry): string | undefined {
    if (type !== "File") return `is a ${type}, and only plain files are unpacked`;
    if (globalExtended !== undefined) return "stands under headers for all files at once";
    if ((mode & 0o7000) !== 0) return "asks for the rights of its owner (setuid or the like)";
    const fault = nameFault(name);
    if (fault !== undefined) return `is ${fault}`;
    if (this.#slots.has(nameSlot(name))) return "is there twice, or differs from another only by case";
    return Number.isSafeInteger(size) && size >= 0 ? undefined : `has the size ${String(size)}`;
  }

  async #drain(): Promise<void> {
    const pieces = this.#pieces;
    this.#pieces = [];
    for (const piece of pieces) {
      this.#left -= piece.length;
      await this.#sink?.write(piece);
    }
    if (this.#entry === undefined || this.#entry.blockRemain > 0) return;
    if (this.#left !== 0) throw this.#invalid(`${this.#entry.path} lacks ${this.#left} bytes`);
    await this.#sink?.end();
    this.#sink = undefined;
    this.#entry = undefined;
  }

  #invalid(what: string, cause?: unknown) {
    return invalid(this.#source, what, cause);
  }
}
