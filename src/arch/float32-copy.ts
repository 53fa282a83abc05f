/** Gives onnxruntime float32 weights: the checkpoint's own files when they are float32, else a copy converted once. */
import { createHash } from "node:crypto";
import { type FileHandle, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { writeFileWith } from "../base/atomic.ts";
import { type ByteSource, withFile } from "../base/bytes.ts";
import { dtypeSizes, elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import { bytesOf, Tensor } from "../base/tensor.ts";
import { readSafetensorsHeader } from "../formats/safetensors.ts";
import { encodeSafetensorsHeader } from "../formats/safetensors-encode.ts";
import { type WeightEntry, WeightIndex } from "./weights.ts";

/** Elements converted at a time: bounds memory whatever the tensor's size. */
const CHUNK_ELEMENTS = 1 << 20;

export interface CopyOptions {
  /** Folder for converted files; entries are keyed by the source file's identity. */
  readonly cacheFolder: string;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Named = readonly [string, WeightEntry];

/**
 * An index of the same tensors where every entry is float32 and all files lie in one folder. Converted files appear whole
 * or not at all; one that is cut short or stale is made again. Throws `weights-missing`, `tensor-invalid`, `write-failed`, `aborted`.
 */
export async function float32Weights(
  index: WeightIndex,
  names: readonly string[],
  options: CopyOptions,
): Promise<WeightIndex> {
  const used = names.map((name): Named => [name, index.require(name, index.entries.get(name)?.shape ?? [])]);
  const folders = new Set(used.map(([, entry]) => dirname(entry.file)));
  if (folders.size === 1 && used.every(([, entry]) => entry.dtype === "float32")) return new WeightIndex(new Map(used));
  const files = new Set(used.map(([, entry]) => entry.file));
  const report = progressOf(used, options.onProgress);
  const copied = new Map<string, WeightEntry>();
  for (const file of files) {
    const entries = used.filter(([, entry]) => entry.file === file);
    for (const [name, entry] of await copyOf(file, entries, report, options)) copied.set(name, entry);
  }
  return new WeightIndex(copied);
}

function progressOf(used: readonly Named[], listener: ProgressListener | undefined): (bytes: number) => void {
  const total = used.reduce((sum, [, entry]) => sum + entry.end - entry.start, 0);
  let done = 0;
  return (bytes) => {
    done += bytes;
    listener?.({ phase: "converting weights to float32", done, total, unit: "bytes" });
  };
}

async function copyOf(
  file: string,
  entries: readonly Named[],
  report: (bytes: number) => void,
  options: CopyOptions,
): Promise<readonly Named[]> {
  const plan = entries.map(([name, entry]) => ({ name, dtype: "float32" as const, shape: entry.shape }));
  const header = encodeSafetensorsHeader(plan);
  const target = join(options.cacheFolder, "float32", `${await identityOf(file, header.bytes)}.safetensors`);
  const located = entries.map(([name]): Named => {
    const place = header.tensors.get(name)!;
    return [name, { dtype: "float32", shape: place.shape, file: target, start: place.start, end: place.end }];
  });
  if (await isIntact(target, header.size)) {
    for (const [, entry] of entries) report(entry.end - entry.start);
    return located;
  }
  const sources = new Map(entries);
  await removeAbandoned(target);
  await keepInCache(target, async (handle) => {
    await handle.writeFile(header.bytes);
    await withFile(file, async (source) => {
      for (const [name] of [...header.tensors].sort(([, a], [, b]) => a.start - b.start)) {
        for await (const chunk of float32Chunks(source, name, sources.get(name)!)) {
          throwIfAborted(options.signal);
          await handle.writeFile(bytesOf(chunk));
          report(chunk.length * elementBytes(sources.get(name)!));
        }
      }
    });
  });
  return located;
}

function elementBytes(entry: WeightEntry): number {
  return dtypeSizes[entry.dtype];
}

async function* float32Chunks(source: ByteSource, name: string, entry: WeightEntry): AsyncGenerator<Float32Array> {
  const count = elementCount(entry.shape);
  const width = elementBytes(entry);
  for (let at = 0; at < count; at += CHUNK_ELEMENTS) {
    const length = Math.min(CHUNK_ELEMENTS, count - at);
    const bytes = await source.read(entry.start + at * width, entry.start + (at + length) * width);
    const values = new Tensor(entry.dtype, [length], bytes).toFloat32();
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new VeneError("tensor-invalid", `${source.name}: ${name} has ${values[bad]} at element ${at + bad}`, {
        hint: "the checkpoint is damaged: fetch it again",
        details: { name, element: at + bad },
      });
    }
    yield values;
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

/** Whether the copy is there, complete and readable. A damaged one is replaced when the new one is whole. */
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
