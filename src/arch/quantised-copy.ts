/** Gives onnxruntime the weights that a graph refers to: the quantised ones from a copy that is made once, a few rows at a time. */
import type { ByteSource } from "../base/bytes.ts";
import { dtypeSizes } from "../base/dtype.ts";
import { bytesOf } from "../base/tensor.ts";
import { encodeSafetensorsHeader, type SafetensorsPlan } from "../formats/safetensors-encode.ts";
import type { QuantisedWeight, WeightReference } from "../graph/ir.ts";
import { byteProgress, type CopyOptions, cachedCopy, type WriteAt } from "./cached-copy.ts";
import { CHUNK_ELEMENTS, float32Chunks, float32Weights, writeFloat32 } from "./float32-copy.ts";
import { BLOCK, blockBytes, blocksOf, type QuantisedRows, quantiseRows } from "./quantise.ts";
import { quantisedParts } from "./quantised-linear.ts";
import { type WeightEntry, WeightIndex } from "./weights.ts";

/** Part of a copy's identity: to be counted up when the same weights give other bytes. */
const metadata = { quantiser: "vene 1: blocks of 32, symmetric" };

/** One tensor of the checkpoint and what becomes of it: float32 where `quantised` is undefined. */
interface Task {
  readonly tensor: string;
  readonly entry: WeightEntry;
  readonly quantised: QuantisedWeight | undefined;
}

/**
 * An index of the weights that a graph refers to, in files of one folder: quantised parts, and float32 for the rest. Copies are
 * made where the checkpoint's own files will not do, and found again. Throws `weights-missing`, `tensor-invalid`,
 * `write-failed`, `aborted`.
 */
export function preparedWeights(
  index: WeightIndex,
  references: readonly WeightReference[],
  options: CopyOptions,
): Promise<WeightIndex> {
  if (references.some(({ quantised }) => quantised !== undefined)) return quantisedWeights(index, references, options);
  const names = references.map(({ weight }) => weight);
  return float32Weights(index, names, options);
}

async function quantisedWeights(
  index: WeightIndex,
  references: readonly WeightReference[],
  options: CopyOptions,
): Promise<WeightIndex> {
  const tasks = tasksOf(index, references);
  const total = sourceBytes(tasks);
  const report = byteProgress("quantising weights", total, options.onProgress);
  const copied = new Map<string, WeightEntry>();
  for (const file of new Set(tasks.map(({ entry }) => entry.file))) {
    const own = tasks.filter(({ entry }) => entry.file === file);
    const plan = planOf(own);
    const write = async (source: ByteSource, at: WriteAt): Promise<void> => {
      for (const task of own) await writeTask(source, task, plan, at, report);
    };
    const copy = { kind: "quantised", file, plan, write, sourceBytes: sourceBytes(own) };
    for (const [name, entry] of await cachedCopy(copy, report, options)) copied.set(name, entry);
  }
  return new WeightIndex(copied);
}

/** Codes and scales are two references to one quantised weight. */
function tasksOf(index: WeightIndex, references: readonly WeightReference[]): readonly Task[] {
  const tasks = new Map<string, Task>();
  for (const { weight, quantised } of references) {
    const tensor = quantised?.tensor ?? weight;
    const entry = index.require(tensor, index.entries.get(tensor)?.shape ?? []);
    tasks.set(`${tensor} ${quantised === undefined ? "float32" : "quantised"}`, { tensor, entry, quantised });
  }
  return [...tasks.values()];
}

function sourceBytes(tasks: readonly Task[]): number {
  return tasks.reduce((sum, { entry }) => sum + entry.end - entry.start, 0);
}

function planOf(tasks: readonly Task[]): SafetensorsPlan {
  const entries = tasks.flatMap(({ tensor, entry, quantised }) => {
    if (quantised === undefined) return [{ name: tensor, dtype: "float32" as const, shape: entry.shape }];
    const { codes, scales } = quantisedParts(tensor, quantised.bits, ...sizesOf(entry, quantised));
    return [
      { ...codes, dtype: "uint8" as const },
      { ...scales, dtype: "float32" as const },
    ];
  });
  return encodeSafetensorsHeader(entries, metadata);
}

/** Outputs and inputs of the layer: rows and columns of what is quantised. */
function sizesOf({ shape }: WeightEntry, { inFirst }: QuantisedWeight): readonly [number, number] {
  const [outer, inner] = shape as readonly [number, number];
  return inFirst ? [inner, outer] : [outer, inner];
}

async function writeTask(
  source: ByteSource,
  { tensor, entry, quantised }: Task,
  plan: SafetensorsPlan,
  at: WriteAt,
  report: (bytes: number) => void,
): Promise<void> {
  const start = (name: string) => plan.tensors.get(name)!.start;
  if (quantised === undefined) {
    await writeFloat32(source, tensor, entry, (bytes, offset) => at(bytes, start(tensor) + offset), report);
    return;
  }
  const { codes, scales } = quantisedParts(tensor, quantised.bits, ...sizesOf(entry, quantised));
  const places = { codes: start(codes.name), scales: start(scales.name) };
  const parts = quantised.inFirst ? columnParts : rowParts;
  for await (const part of parts(source, { tensor, entry, quantised }, report)) {
    await at(part.codes, places.codes);
    await at(bytesOf(part.scales), places.scales);
    places.codes += part.codes.byteLength;
    places.scales += part.scales.byteLength;
  }
}

type QuantisedTask = Task & { readonly quantised: QuantisedWeight };

/** A weight [out, in], some rows at a time. */
async function* rowParts(
  source: ByteSource,
  { tensor, entry, quantised }: QuantisedTask,
  report: (bytes: number) => void,
): AsyncGenerator<QuantisedRows> {
  const [, columns] = sizesOf(entry, quantised);
  const elements = columns * Math.max(1, Math.floor(CHUNK_ELEMENTS / columns));
  for await (const chunk of float32Chunks(source, tensor, entry, elements)) {
    yield quantiseRows(chunk, columns, quantised.bits);
    report(chunk.length * dtypeSizes[entry.dtype]);
  }
}

/** A weight [in, out], which comes in slices of every row: the quantised whole, an eighth or a quarter of float32, is gathered. */
async function* columnParts(
  source: ByteSource,
  { tensor, entry, quantised }: QuantisedTask,
  report: (bytes: number) => void,
): AsyncGenerator<QuantisedRows> {
  const [rows, columns] = sizesOf(entry, quantised);
  const blocks = blocksOf(columns);
  const bytes = blockBytes(quantised.bits);
  const whole = { codes: new Uint8Array(rows * blocks * bytes), scales: new Float32Array(rows * blocks) };
  const elements = rows * BLOCK * Math.max(1, Math.floor(CHUNK_ELEMENTS / (rows * BLOCK)));
  let done = 0;
  for await (const chunk of float32Chunks(source, tensor, entry, elements)) {
    const width = chunk.length / rows;
    const slice = quantiseRows(transposed(chunk, rows), width, quantised.bits);
    const own = blocksOf(width);
    for (let row = 0; row < rows; row++) {
      const [from, to] = [row * own, (row + 1) * own];
      whole.scales.set(slice.scales.subarray(from, to), row * blocks + done);
      whole.codes.set(slice.codes.subarray(from * bytes, to * bytes), (row * blocks + done) * bytes);
    }
    done += own;
    report(chunk.length * dtypeSizes[entry.dtype]);
  }
  yield whole;
}

/** [any, columns] to [columns, any]. */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  }
  return out;
}
