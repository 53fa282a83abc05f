/** What was last read of a registry elsewhere: for asking "is it still that?" and for working without a network. */
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";

export interface CachedDocument {
  /** undefined: there was no such document. */
  readonly bytes: Uint8Array | undefined;
  readonly etag: string | undefined;
  /** The commit it was read at, of a Hub. */
  readonly head: string | undefined;
}

const MAX_BYTES = 1 << 29;

export class DocumentCache {
  readonly #folder: string;

  /** One folder per location, so that two registries never answer for one another. */
  constructor(cacheFolder: string, location: string) {
    this.#folder = join(cacheFolder, "registry", "documents", sha256Of(location).slice(0, 32));
  }

  /** Undefined where nothing was kept, or nothing that makes sense: it can be read again. */
  async read(path: string): Promise<CachedDocument | undefined> {
    try {
      const kept = await readSmallFile(join(this.#folder, path), MAX_BYTES);
      const end = kept.indexOf(10);
      const about = parseJson(kept.subarray(0, end), { name: path });
      if (end < 0 || typeof about !== "object" || about === null || Array.isArray(about)) return undefined;
      const { etag, head, sha256 } = about;
      const bytes = kept.subarray(end + 1);
      if (sha256 !== undefined && sha256 !== sha256Of(bytes)) return undefined;
      return { bytes: sha256 === undefined ? undefined : bytes, etag: textOf(etag), head: textOf(head) };
    } catch (thrown) {
      if (thrown instanceof VeneError) return undefined;
      throw thrown;
    }
  }

  /** A cache that cannot be written is no reason to fail: the document is at hand. */
  async write(path: string, { bytes, etag, head }: CachedDocument): Promise<void> {
    const about = JSON.stringify({ etag, head, ...(bytes === undefined ? {} : { sha256: sha256Of(bytes) }) });
    const content = Buffer.concat([Buffer.from(`${about}\n`), bytes ?? new Uint8Array()]);
    await writeFileAtomic(join(this.#folder, path), content).catch(() => undefined);
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
