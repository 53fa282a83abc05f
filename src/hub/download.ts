/** Fetches one file: every byte hashed as it is written, cut connections resumed, and nothing kept that differs. */
import type { Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { messageOf, VeneError } from "../base/errors.ts";
import { type HubHeaders, networkError, shownUrl } from "./answers.ts";
import { cacheError } from "./cache-records.ts";
import { hasher, type RepoFile } from "./digests.ts";
import type { HubEnvironment } from "./environment.ts";
import { type HubResponse, hubRequest, pauseBeforeRetry, refuseEncoding } from "./transport.ts";
import { WriteBehind } from "./write-behind.ts";

export interface Download {
  readonly file: RepoFile;
  readonly url: string;
  readonly signal?: AbortSignal | undefined;
  /** Called with bytes gained, or lost (negative) where a server makes us start over. */
  readonly onBytes?: (count: number) => void;
}

/** A connection that brought this much before it broke is not counted as a failed try. */
const REAL_PROGRESS = 1 << 20;

/** How far a download has come: what is in the file and in the hash is always the same. */
interface Received {
  bytes: number;
  hash: Hash;
  /** Strong ETag of the answer the bytes came from; resuming without one is not safe. */
  etag: string | undefined;
}

/**
 * Writes the file's bytes into `handle`, which must be empty. Throws `hub-integrity` for other bytes than announced,
 * `hub-unreachable` when the connection keeps breaking, `hub-cache` when the disk refuses, `aborted`, and what requests throw.
 */
export async function download(environment: HubEnvironment, handle: FileHandle, wanted: Download): Promise<void> {
  const { file, signal } = wanted;
  const received: Received = { bytes: 0, hash: hasher(file.digest, file.size), etag: undefined };
  let most = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      await receive(environment, handle, wanted, received);
      break;
    } catch (thrown) {
      // Counted from the most there ever was: a server that makes us start over again and again is given up, too.
      if (received.bytes - most >= REAL_PROGRESS) attempt = 1;
      most = Math.max(most, received.bytes);
      if (!(await pauseBeforeRetry(environment, thrown, attempt, signal))) throw thrown;
    }
  }
  const found = received.hash.digest("hex");
  if (found === file.digest.hex) return;
  throw new VeneError(
    "hub-integrity",
    `${file.path}: the bytes have the ${file.digest.algorithm} ${found}, expected ${file.digest.hex}`,
    {
      hint: "the server or something between damaged the file; nothing of it was kept",
      details: { path: file.path, expected: file.digest.hex, found },
    },
  );
}

/** One connection's worth. Returns when the file has all its bytes. */
async function receive(
  environment: HubEnvironment,
  handle: FileHandle,
  wanted: Download,
  received: Received,
): Promise<void> {
  const { file, url, signal } = wanted;
  const resuming = received.bytes > 0 && received.etag !== undefined;
  const headers: HubHeaders = resuming ? { range: `bytes=${received.bytes}-`, "if-range": received.etag! } : {};
  if (!resuming) await startOver(handle, wanted, received);
  const accept = resuming ? [416] : [];
  const response = await hubRequest({ ...environment, tries: 1 }, { url, what: file.path, headers, accept, signal });
  try {
    refuseEncoding(response.headers, response.url, file.path);
    checkAnnounced(response, file);
    if (resuming && response.status === 200) await startOver(handle, wanted, received);
    else if (resuming ? !continues(response, file, received) : response.status !== 200) {
      // 416 or another range than asked for: what we have may not be the beginning of what the server has.
      await startOver(handle, wanted, received);
      throw retryable(file, response.url, `answered ${response.status} with another range than asked for`);
    }
    const etag = response.headers["etag"];
    received.etag = etag !== undefined && /^"[\x21-\x7e]+"$/.test(etag) ? etag : undefined;
    await copyBody(response, handle, wanted, received);
  } finally {
    response.body.destroy();
  }
  if (received.bytes === file.size) return;
  throw retryable(file, response.url, `the body ended at byte ${received.bytes} of ${file.size}`);
}

async function startOver(handle: FileHandle, { file, onBytes }: Download, received: Received): Promise<void> {
  if (received.bytes > 0) {
    await handle.truncate(0);
    onBytes?.(-received.bytes);
  }
  received.bytes = 0;
  received.hash = hasher(file.digest, file.size);
  received.etag = undefined;
}

/** Whether a 206 goes on exactly where the file ends so far. */
function continues(response: HubResponse, { size }: RepoFile, { bytes }: Received): boolean {
  return response.status === 206 && response.headers["content-range"] === `bytes ${bytes}-${size - 1}/${size}`;
}

/** What the headers already contradict need not be downloaded. */
function checkAnnounced({ status, headers, first, url }: HubResponse, file: RepoFile): void {
  const { path, size, digest } = file;
  const etag = (first["x-linked-etag"] ?? first["etag"] ?? "").replace(/^W\/|"/g, "");
  if (/^[0-9a-f]+$/.test(etag) && etag.length === digest.hex.length && etag !== digest.hex) {
    throw new VeneError("hub-integrity", `${path}: the server announces ${etag}, the listing said ${digest.hex}`, {
      hint: "the file changed while it was being fetched: pull again",
      details: { path, expected: digest.hex, found: etag },
    });
  }
  const length = headers["content-length"];
  if (status === 200 && length !== undefined && Number(length) !== size) {
    throw new VeneError("hub-integrity", `${path}: ${url.host} sends ${length} bytes, the listing said ${size}`, {
      hint: "the server or something between changed the file; nothing of it was kept",
      details: { path, expected: size, found: length },
    });
  }
}

/** Whatever ends it, what was counted has been hashed and written, so that the next connection can go on from there. */
async function copyBody(
  response: HubResponse,
  handle: FileHandle,
  wanted: Download,
  received: Received,
): Promise<void> {
  const { file, signal, onBytes } = wanted;
  const chunks = response.body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const writer = new WriteBehind(handle, received.bytes);
  try {
    while (true) {
      const chunk = await nextChunk(chunks, response, wanted);
      if (chunk === undefined) return;
      if (received.bytes + chunk.length > file.size) {
        throw new VeneError("hub-integrity", `${file.path}: more than the ${file.size} bytes that the listing said`, {
          details: { path: file.path, expected: file.size },
        });
      }
      await writer.add(chunk).catch((cause: unknown) => refuseDisk(cause, file));
      received.hash.update(chunk);
      received.bytes += chunk.length;
      onBytes?.(chunk.length);
      if (signal?.aborted) throw networkError(file.path, response.url, signal.reason, signal);
    }
  } finally {
    await writer.flush().catch((cause: unknown) => refuseDisk(cause, file));
  }
}

async function nextChunk(
  chunks: AsyncIterator<Buffer>,
  { url }: HubResponse,
  { file, signal }: Download,
): Promise<Buffer | undefined> {
  try {
    const { value, done } = await chunks.next();
    return done ? undefined : value;
  } catch (thrown) {
    throw networkError(file.path, url, thrown, signal);
  }
}

function refuseDisk(cause: unknown, { path }: RepoFile): never {
  throw cacheError(`cannot write ${path} to the cache: ${messageOf(cause)}`, path, cause);
}

function retryable(file: RepoFile, url: URL, why: string): VeneError {
  return new VeneError("hub-unreachable", `${file.path}: ${url.host}: ${why}`, {
    hint: "try again; the connection or the server cut the file short",
    details: { path: file.path, url: shownUrl(url) },
  });
}
