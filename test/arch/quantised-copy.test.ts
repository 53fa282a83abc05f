/** The quantised copy of a checkpoint: what is in it, that it is made once, whole or not at all, and a few rows at a time. */
import { existsSync } from "node:fs";
import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CHUNK_ELEMENTS, float32Chunks } from "../../src/arch/float32-copy.ts";
import { quantiseRows } from "../../src/arch/quantise.ts";
import { preparedWeights } from "../../src/arch/quantised-copy.ts";
import { type WeightEntry, WeightIndex } from "../../src/arch/weights.ts";
import type { ByteSource } from "../../src/base/bytes.ts";
import { withFile } from "../../src/base/bytes.ts";
import type { ProgressEvent } from "../../src/base/progress.ts";
import { bytesOf, Tensor } from "../../src/base/tensor.ts";
import { readSafetensorsHeader } from "../../src/formats/safetensors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { type LoadModelOptions, loadModel } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, readTensors } from "../support/fixtures.ts";
import { logitsOfFolder } from "../support/logits.ts";
import { numbers, quantisedReference } from "../support/quantised.ts";

let shop: Workshop;
let caches = 0;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const ids = [1, 17, 88, 42, 5];
const newCache = () => shop.path(`cache-${caches++}`);
const q4 = (cacheFolder: string, more: LoadModelOptions = {}): LoadModelOptions => ({
  dtype: "q4",
  cacheFolder,
  ...more,
});

async function filesIn(cache: string): Promise<string[]> {
  const entries = await readdir(cache, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const bf16 = (tensors: Map<string, Tensor>) =>
  new Map([...tensors].map(([name, tensor]) => [name, tensor.to("bfloat16")]));

function rowsOf(tensor: Tensor): number[][] {
  const [rows, columns] = tensor.shape as readonly [number, number];
  const values = tensor.toFloat32();
  return Array.from({ length: rows }, (_, row) => [...values.subarray(row * columns, (row + 1) * columns)]);
}

describe.each(["float32", "bfloat16", "float16"] as const)("of a %s checkpoint", (dtype) => {
  test("has the reference's codes and scales, 8 bits for the head, and the rest as float32", async () => {
    const tensors = (all: Map<string, Tensor>) => new Map([...all].map(([name, tensor]) => [name, tensor.to(dtype)]));
    const folder = await shop.checkpoint({ tensors });
    const cacheFolder = newCache();
    await logitsOfFolder(folder, ids, q4(cacheFolder));
    const [path, ...others] = await filesIn(cacheFolder);
    expect(others).toEqual([]);
    expect(dirname(path!)).toBe(join(cacheFolder, "quantised"));
    const [copy, source] = [await readTensors(path!), await readTensors(join(folder, "model.safetensors"))];
    for (const [name, tensor] of source) {
      const bits = name === "lm_head.weight" ? 8 : 4;
      if (!/proj|lm_head/.test(name)) {
        expect([name, copy.get(name)]).toEqual([name, tensor.to("float32")]);
        continue;
      }
      const expected = quantisedReference(rowsOf(tensor), bits);
      expect(copy.has(name)).toBe(false);
      expect([...copy.get(`${name}.q${bits}`)!.bytes]).toEqual(expected.bytes);
      expect(copy.get(`${name}.q${bits}.scales`)!.toNumbers()).toEqual(expected.scales);
    }
  });
});

test("is made once for each dtype, and found again", async () => {
  const folder = await shop.checkpoint({ tensors: bf16 });
  const cacheFolder = newCache();
  const first = await logitsOfFolder(folder, ids, q4(cacheFolder));
  const [path] = await filesIn(cacheFolder);
  const before = await stat(path!, { bigint: true });
  expect(await logitsOfFolder(folder, ids, q4(cacheFolder))).toEqual(first);
  const after = await stat(path!, { bigint: true });
  expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
  expect(await logitsOfFolder(folder, ids, { dtype: "q8", cacheFolder })).not.toEqual(first);
  await logitsOfFolder(folder, ids, { cacheFolder });
  expect((await filesIn(cacheFolder)).map((file) => basename(dirname(file))).sort()).toEqual([
    "float32",
    "quantised",
    "quantised",
  ]);
});

test("of shards is a file for each, with the logits of one", async () => {
  const [sharded, single] = [await shop.sharded(3, { tensors: bf16 }), await shop.checkpoint({ tensors: bf16 })];
  const cacheFolder = newCache();
  expect(await logitsOfFolder(sharded, ids, q4(cacheFolder))).toEqual(
    await logitsOfFolder(single, ids, q4(newCache())),
  );
  expect((await filesIn(cacheFolder)).length).toBe(3);
});

test.each<[string, (copy: string) => Promise<unknown>]>([
  ["truncated", (copy) => truncate(copy, 1000)],
  ["longer", async (copy) => writeFile(copy, Buffer.concat([await readFile(copy), Buffer.alloc(8)]))],
  ["with a broken header", async (copy) => writeFile(copy, Buffer.from(await readFile(copy)).fill(0x20, 8, 16))],
])("%s is made again", async (_, damage) => {
  const folder = await shop.checkpoint({ tensors: bf16 });
  const cacheFolder = newCache();
  const first = await logitsOfFolder(folder, ids, q4(cacheFolder));
  const [copy] = await filesIn(cacheFolder);
  const bytes = await readFile(copy!);
  await damage(copy!);
  expect(await logitsOfFolder(folder, ids, q4(cacheFolder))).toEqual(first);
  expect(Buffer.compare(await readFile(copy!), bytes)).toBe(0);
});

test("by several models at once is one file, and all of them are right", async () => {
  const folder = await shop.checkpoint({ tensors: bf16 });
  const cacheFolder = newCache();
  const all = await Promise.all([1, 2, 3].map(() => logitsOfFolder(folder, ids, q4(cacheFolder))));
  for (const one of all) expect(one).toEqual(all[0]);
  expect((await filesIn(cacheFolder)).length).toBe(1);
});

test("is not begun with weights that are no numbers, nor left behind by an abort; old partials go", async () => {
  const name = "model.layers.1.mlp.up_proj.weight";
  const broken = (tensors: Map<string, Tensor>) => {
    const values = tensors.get(name)!.toFloat32().slice();
    values[7] = Number.NaN;
    return tensors.set(name, Tensor.float32(tensors.get(name)!.shape, values));
  };
  const cacheFolder = newCache();
  await expect(logitsOfFolder(await shop.checkpoint({ tensors: broken }), ids, q4(cacheFolder))).rejects.toMatchObject({
    code: "tensor-invalid",
    details: { name, element: 7 },
  });
  expect(await filesIn(cacheFolder)).toEqual([]);

  const folder = await shop.checkpoint({ tensors: bf16 });
  const controller = new AbortController();
  const onProgress = ({ done }: ProgressEvent) => {
    if (done > 10_000) controller.abort(new Error("enough"));
  };
  const model = await loadModel(folder, { dtype: "q4", cacheFolder, signal: controller.signal, onProgress });
  await expect(model.warmUp()).rejects.toMatchObject({ code: "aborted" });
  await model.release();
  expect(await filesIn(cacheFolder)).toEqual([]);

  await logitsOfFolder(folder, ids, q4(cacheFolder));
  const [copy] = await filesIn(cacheFolder);
  const partial = join(dirname(copy!), `.${basename(copy!)}.00000001.partial`);
  await writeFile(partial, "half");
  await utimes(partial, new Date(0), new Date(0));
  await rm(copy!);
  await logitsOfFolder(folder, ids, q4(cacheFolder));
  expect([existsSync(partial), existsSync(copy!)]).toEqual([false, true]);
});

test("progress counts the source's bytes, the tied embedding's twice: for its rows and for the head", async () => {
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => events.push(event);
  const folder = fixture("models", "gemma");
  await logitsOfFolder(folder, ids, q4(newCache(), { onProgress }));
  const quantising = events.filter(({ phase }) => phase === "quantising weights");
  const sizes = [...(await withFile(join(folder, "model.safetensors"), readSafetensorsHeader)).tensors].map(
    ([name, { start, end }]) => (end - start) * (name === "model.embed_tokens.weight" ? 2 : 1),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(quantising.at(-1)).toMatchObject({ done: total, total });
});

describe("a large weight", () => {
  const [rows, columns] = [1120, 1000];
  let path: string;
  let values: Float32Array;
  beforeAll(async () => {
    values = numbers(rows * columns, 3);
    path = shop.path("large.safetensors");
    await writeFile(path, encodeSafetensors(new Map([["w", Tensor.float32([rows, columns], values)]])));
  });

  const indexOf = async () => {
    const { tensors } = await withFile(path, readSafetensorsHeader);
    const entries = [...tensors].map(([name, entry]): [string, WeightEntry] => [name, { ...entry, file: path }]);
    return new WeightIndex(new Map(entries));
  };

  test.each([false, true])("in several pieces is what it is in one; [in, out]: %p", async (inFirst) => {
    const quantised = { tensor: "w", bits: 4, inFirst } as const;
    const references = ["w.q4", "w.q4.scales"].map((weight) => ({ weight, quantised }));
    const { entries } = await preparedWeights(await indexOf(), references, { cacheFolder: newCache() });
    const copy = await readTensors(entries.get("w.q4")!.file);
    const turned = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
    const whole = inFirst ? quantiseRows(turned, rows, 4) : quantiseRows(values, columns, 4);
    expect(Buffer.compare(copy.get("w.q4")!.bytes, whole.codes)).toBe(0);
    expect(Buffer.compare(copy.get("w.q4.scales")!.bytes, bytesOf(whole.scales))).toBe(0);
  });

  test("is never read more than a chunk at a time", async () => {
    const entry = (await indexOf()).entries.get("w")!;
    const reads: number[] = [];
    await withFile(path, async (source) => {
      const counting: ByteSource = {
        ...source,
        read: (start, end) => {
          reads.push(end - start);
          return source.read(start, end);
        },
      };
      for await (const chunk of float32Chunks(counting, "w", entry, CHUNK_ELEMENTS))
        expect(chunk.length).toBeGreaterThan(0);
    });
    expect(Math.max(...reads)).toBe(4 * CHUNK_ELEMENTS);
    expect(reads.reduce((sum, size) => sum + size, 0)).toBe(4 * rows * columns);
  });
});
