/** Reading a registry over HTTP, be it a Hub's or any web server's: conditional requests, and the last known answer offline. */
import type { FileHandle } from "node:fs/promises";
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { networkError } from "../hub/answers.ts";
import { download } from "../hub/download.ts";
import type { HubEnvironment } from "../hub/environment.ts";
import { type HubResponse, hubRequest, refuseEncoding } from "../hub/transport.ts";
import type { CachedDocument, DocumentCache } from "./document-cache.ts";
import { type CopyOptions, type Snapshot, tooLarge, type WantedFile } from "./store.ts";

/** Not there, gone, or not to be shown. */
const absent = [404, 410, 451];

export interface RemotePlace {
  readonly location: string;
  readonly environment: HubEnvironment;
  readonly cache: DocumentCache;
  /** Commit that all reads are of; "" where there is no such thing. */
  readonly head: string;
  /** Nothing is asked: the last known answers have to do. */
  readonly offline: boolean;
  readonly urlOf: (path: string) => string;
  readonly signal: AbortSignal | undefined;
}

export class RemoteSnapshot implements Snapshot {
  readonly head: string;
  readonly notices: string[] = [];
  readonly #place: RemotePlace;

  constructor(place: RemotePlace) {
    this.head = place.head;
    this.#place = place;
  }

  async read(path: string, limit: number): Promise<Uint8Array | undefined> {
    const { cache, offline, head, location } = this.#place;
    const cached = await cache.read(path);
    if (cached !== undefined && (offline || isCurrent(path, cached, head))) return cached.bytes;
    if (offline) {
      throw new VeneError("hub-offline", `${path} of ${location} is not in the cache, and there is no network`, {
        hint: "read it once while there is a network",
        details: { location, path },
      });
    }
    try {
      return await this.#ask(path, limit, cached);
    } catch (thrown) {
      if (!(thrown instanceof VeneError) || thrown.code !== "hub-unreachable" || cached === undefined) throw thrown;
      const notice = `${location} did not answer: going by what it last said`;
      if (!this.notices.includes(notice)) this.notices.push(notice);
      return cached.bytes;
    }
  }

  async #ask(path: string, limit: number, cached: CachedDocument | undefined): Promise<Uint8Array | undefined> {
    const { environment, cache, head, location, urlOf, signal } = this.#place;
    const etag = cached?.bytes === undefined ? undefined : cached.etag;
    const what = `${path} of ${location}`;
    const answer = await hubRequest(environment, {
      url: urlOf(path),
      what,
      headers: etag === undefined ? {} : { "if-none-match": etag },
      accept: [304, ...absent],
      signal,
    });
    if (answer.status === 304 && cached !== undefined) {
      answer.body.destroy();
      await cache.write(path, { ...cached, head });
      return cached.bytes;
    }
    const bytes = await bodyOf(answer, what, limit, signal);
    await cache.write(path, { bytes, etag: answer.headers["etag"], head });
    return bytes;
  }

  async copy(file: WantedFile, handle: FileHandle, options: CopyOptions): Promise<boolean> {
    const { environment, urlOf } = this.#place;
    return copyUrl(environment, urlOf(file.path), file, handle, options);
  }
}

/** Fetches a file whose digest is known. False where a server has none. Throws `hub-integrity` and others of the hub. */
export async function copyUrl(
  environment: HubEnvironment,
  url: string,
  { path, size, sha256 }: WantedFile,
  handle: FileHandle,
  options: CopyOptions,
): Promise<boolean> {
  try {
    const file = { path, size, digest: { algorithm: "sha256", hex: sha256 } } as const;
    await download(environment, handle, { file, url, ...options });
    return true;
  } catch (thrown) {
    if (thrown instanceof VeneError && absent.includes(Number(thrown.details["status"]))) return false;
    throw thrown;
  }
}

/** What is named by its digest never changes; neither does anything at one commit. */
function isCurrent(path: string, { bytes, head }: CachedDocument, wanted: string): boolean {
  if (wanted !== "" && head === wanted) return true;
  const named = /^manifests\/sha256\/..\/([0-9a-f]{64})\.json$/.exec(path)?.[1];
  return named !== undefined && bytes !== undefined && sha256Of(bytes) === named;
}

async function bodyOf(
  { status, headers, url, body }: HubResponse,
  what: string,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  if (status !== 200) {
    body.destroy();
    if (!absent.includes(status)) throw new VeneError("hub-rejected", `${what}: ${url.host} answered ${status}`);
    return undefined;
  }
  refuseEncoding(headers, url, what);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += (chunk as Buffer).length;
      if (length > limit) throw tooLarge(what, limit);
      chunks.push(chunk as Buffer);
    }
  } catch (thrown) {
    throw thrown instanceof VeneError ? thrown : networkError(what, url, thrown, signal);
  }
  return Buffer.concat(chunks);
}
