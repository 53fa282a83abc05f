/** Files made of a checkpoint's and kept in vene's cache: found again by what they are made of, whole or not there at all. */
import { createHash } from "node:crypto";
import { type FileHandle, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { writeFileWith } from "../base/atomic.ts";
import { type ByteSource, withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import { readSafetensorsHeader } from "../formats/safetensors.ts";
import type { SafetensorsPlan } from "../formats/safetensors-encode.ts";
import type { WeightEntry } from "./weights.ts";

export interface CopyOptions {
  /** Folder for converted files; entries are keyed by the source file's identity. */
  readonly cacheFolder: string;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Puts bytes where they belong in the file. */
export type WriteAt = (bytes: Uint8Array, position: number) => Promise<void>;

export interface CachedCopy {
  /** Folder in the cache: what is done to the weights. */
  readonly kind: string;
  /** The checkpoint's file. */
  readonly file: string;
  /** What is made of it; with its metadata part of the copy's identity. */
  readonly plan: SafetensorsPlan;
  /** Writes every tensor of the plan. */
  readonly write: (source: ByteSource, write: WriteAt) => Promise<void>;
  /** Bytes of the source that `write` reports as done, reported at once where nothing needs writing. */
  readonly sourceBytes: number;
}

/**
 * The copy's tensors; they are written if the cache lacks the copy or has a damaged one, which is replaced when the new one is
 * whole. Throws `write-failed`, `aborted`, and what `write` throws.
 */
export async function cachedCopy(
  copy: CachedCopy,
  report: (bytes: number) => void,
  options: CopyOptions,
): Promise<ReadonlyMap<string, WeightEntry>> {
  const { kind, file, plan } = copy;
  const path = join(options.cacheFolder, kind, `${await identityOf(file, plan.bytes)}.safetensors`);
  const entries = new Map([...plan.tensors].map(([name, entry]) => [name, { ...entry, file: path }]));
  if (await isIntact(path, plan.size)) {
    report(copy.sourceBytes);
    return entries;
  }
  await removeAbandoned(path);
  await keepInCache(path, async (handle) => {
    const write: WriteAt = async (bytes, position) => {
      throwIfAborted(options.signal);
      await writeAll(handle, bytes, position);
    };
    await write(plan.bytes, 0);
    await withFile(file, (source) => copy.write(source, write));
  });
  return entries;
}

/** A listener's events of bytes done, out of `total`. */
export function byteProgress(
  phase: string,
  total: number,
  listener: ProgressListener | undefined,
): (bytes: number) => void {
  let done = 0;
  return (bytes) => {
    done += bytes;
    listener?.({ phase, done, total, unit: "bytes" });
  };
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** `writeFileWith`, saying where such files may go instead. */
async function keepInCache(target: string, fill: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    await writeFileWith(target, fill);
  } catch (cause) {
    if (!(cause instanceof VeneError) || cause.code !== "write-failed") throw cause;
    throw new VeneError("write-failed", cause.message, {
      hint: "converted weights are kept there: set VENE_CACHE to a folder that can be written and has space",
      details: cause.details,
      cause: cause.cause,
    });
  }
}

/** An hour: nobody writes one file for so long. */
const ABANDONED_MS = 3_600_000;

/** Removes what earlier runs, killed in mid-work, left of this very file. */
async function removeAbandoned(target: string): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(`.${basename(target)}.`) || !name.endsWith(".partial")) continue;
    const path = join(folder, name);
    const age =
      Date.now() -
      (await stat(path).then(
        (status) => status.mtimeMs,
        () => Date.now(),
      ));
    if (age > ABANDONED_MS) await rm(path, { force: true });
  }
}

/** A name that changes when the source file or the layout of the copy does. */
async function identityOf(file: string, header: Uint8Array): Promise<string> {
  const status = await stat(file, { bigint: true });
  const facts = `${file}\n${status.size}\n${status.mtimeNs}\n`;
  const digest = createHash("sha256").update(facts).update(header).digest("hex").slice(0, 24);
  return `${basename(file)
    .replace(/\.safetensors$/, "")
    .slice(0, 40)}-${digest}`;
}

/** Whether the copy is there, complete and readable. */
async function isIntact(path: string, size: number): Promise<boolean> {
  try {
    await withFile(path, async (source) => {
      if (source.size !== size)
        throw new VeneError("safetensors-invalid", `${path} has ${source.size} bytes, not ${size}`);
      await readSafetensorsHeader(source);
    });
    return true;
  } catch (error) {
    if (!(error instanceof VeneError)) throw error;
    return false;
  }
}
