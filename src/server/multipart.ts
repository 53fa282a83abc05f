/** Large files in parts: each is written at its place in one scratch file, which is checked as a whole at the end. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { HashedWriter } from "./hashed-writer.ts";
import { bodyOf, refuseLonger } from "./http/body.ts";
import { HttpError } from "./http/http-error.ts";
import type { Hub } from "./hub.ts";
import type { LfsObject } from "./lfs-store.ts";
import type { Exchange } from "./route.ts";
import { type Scratch, withHandle } from "./scratch.ts";
import type { Repository } from "./store/repository.ts";

/** What a grant for parts says besides: the name of the scratch file. */
export function newUpload(): { readonly upload: string } {
  return { upload: randomBytes(12).toString("hex") };
}

export function partCount(size: number, partBytes: number): number {
  return Math.ceil(size / partBytes);
}

const OPEN_OR_MAKE = constants.O_RDWR | constants.O_CREAT;

function fileOf(scratch: Scratch, upload: string): string {
  return join(scratch.folder, `parts-${upload}`);
}

/** How many parts of an upload are coming in; -1 while the whole is checked: nothing may write to it between check and rename. */
const atWork = new Map<string, number>();

async function besideOthers<T>(upload: string, work: () => Promise<T>): Promise<T> {
  const others = atWork.get(upload) ?? 0;
  if (others < 0) throw new HttpError(409, "the upload is being completed");
  atWork.set(upload, others + 1);
  try {
    return await work();
  } finally {
    const left = atWork.get(upload)! - 1;
    if (left > 0) atWork.set(upload, left);
    else atWork.delete(upload);
  }
}

async function alone<T>(upload: string, work: () => Promise<T>): Promise<T> {
  if (atWork.has(upload))
    throw new HttpError(409, "parts of the upload are coming in, or it is being completed already");
  atWork.set(upload, -1);
  try {
    return await work();
  } finally {
    atWork.delete(upload);
  }
}

/**
 * Writes part `part` (from 1) while hashing it and gives the hash, which serves as its ETag. Sending a part again overwrites
 * it. Throws HttpError 400 (no such part, too short), 409 (the upload is being completed) or 413 (too long).
 */
export async function receivePart(
  exchange: Exchange,
  upload: string,
  { size }: LfsObject,
  part: number,
): Promise<string> {
  const { partBytes } = exchange.hub.limits;
  if (part < 1 || part > partCount(size, partBytes)) throw new HttpError(400, `there is no part ${part}`);
  const start = (part - 1) * partBytes;
  const expected = Math.min(size - start, partBytes);
  refuseLonger(exchange.request, expected);
  let received = 0;
  const receive = async (handle: FileHandle) => {
    const writer = new HashedWriter(handle, start);
    for await (const chunk of bodyOf(exchange.request)) {
      received += chunk.length;
      if (received > expected) throw new HttpError(413, `part ${part} is longer than ${expected} bytes`);
      await writer.add(chunk);
    }
    return writer.end();
  };
  const file = fileOf(exchange.hub.scratch, upload);
  const sha256 = await besideOthers(upload, () => withHandle(file, OPEN_OR_MAKE, receive));
  if (received < expected) throw new HttpError(400, `part ${part} has ${received} bytes, expected ${expected}`);
  return sha256;
}

/** Checks the whole and stores it. Throws HttpError 400 (parts are missing, another digest) or 409 (parts are coming in). */
export async function completeParts(
  hub: Hub,
  repository: Repository,
  upload: string,
  object: LfsObject,
  parts: readonly number[],
): Promise<void> {
  const count = partCount(object.size, hub.limits.partBytes);
  if (parts.length !== count || !parts.every((part, index) => part === index + 1)) {
    throw new HttpError(400, `the parts are ${parts.slice(0, 20).join(", ")}, expected 1 to ${count}`);
  }
  const collected = fileOf(hub.scratch, upload);
  await alone(upload, async () => {
    if ((await hub.lfs.sizeOf(repository, object.sha256)) === object.size) return rm(collected, { force: true });
    const present = await stat(collected).catch(() => undefined);
    if (present === undefined) throw new HttpError(400, "none of the parts has arrived");
    await hub.lfs.put(repository, { file: collected }, object);
  });
}
