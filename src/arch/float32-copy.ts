/** Gives onnxruntime float32 weights: the checkpoint's own files when they are float32, else a copy converted once. */
import { dirname } from "node:path";
import type { ByteSource } from "../base/bytes.ts";
import { dtypeSizes, elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { bytesOf, Tensor } from "../base/tensor.ts";
import { encodeSafetensorsHeader } from "../formats/safetensors-encode.ts";
import { byteProgress, type CopyOptions, cachedCopy, type WriteAt } from "./cached-copy.ts";
import { type WeightEntry, WeightIndex } from "./weights.ts";

/** Elements converted at a time: bounds memory whatever the tensor's size. */
export const CHUNK_ELEMENTS = 1 << 20;

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
  const report = byteProgress("converting weights to float32", storedBytes(used), options.onProgress);
  const copied = new Map<string, WeightEntry>();
  for (const file of files) {
    const entries = used.filter(([, entry]) => entry.file === file);
    for (const [name, entry] of await copyOf(file, entries, report, options)) copied.set(name, entry);
  }
  return new WeightIndex(copied);
}

function storedBytes(used: readonly Named[]): number {
  return used.reduce((sum, [, entry]) => sum + entry.end - entry.start, 0);
}

function copyOf(
  file: string,
  entries: readonly Named[],
  report: (bytes: number) => void,
  options: CopyOptions,
): Promise<ReadonlyMap<string, WeightEntry>> {
  const plan = encodeSafetensorsHeader(entries.map(([name, { shape }]) => ({ name, dtype: "float32", shape })));
  const write = async (source: ByteSource, at: WriteAt): Promise<void> => {
    for (const [name, entry] of entries) {
      await writeFloat32(
        source,
        name,
        entry,
        (bytes, offset) => at(bytes, plan.tensors.get(name)!.start + offset),
        report,
      );
    }
  };
  return cachedCopy({ kind: "float32", file, plan, write, sourceBytes: storedBytes(entries) }, report, options);
}

/** Writes a tensor as float32, from offset 0 on; `report` hears of its stored bytes. Throws `tensor-invalid`. */
export async function writeFloat32(
  source: ByteSource,
  name: string,
  entry: WeightEntry,
  write: WriteAt,
  report: (bytes: number) => void,
): Promise<void> {
  let offset = 0;
  for await (const chunk of float32Chunks(source, name, entry, CHUNK_ELEMENTS)) {
    await write(bytesOf(chunk), offset);
    offset += chunk.byteLength;
    report(chunk.length * dtypeSizes[entry.dtype]);
  }
}

/** A tensor's values in order, `elements` at a time. Throws `tensor-invalid` for one that is not finite. */
export async function* float32Chunks(
  source: ByteSource,
  name: string,
  entry: WeightEntry,
  elements: number,
): AsyncGenerator<Float32Array> {
  const count = elementCount(entry.shape);
  const width = dtypeSizes[entry.dtype];
  for (let at = 0; at < count; at += elements) {
    const length = Math.min(elements, count - at);
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
