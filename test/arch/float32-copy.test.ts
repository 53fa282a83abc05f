/** bfloat16 and float16 checkpoints: converted once into the cache, exactly, whole or not at all. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ProgressEvent } from "../../src/base/progress.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";
import { logitsOfFolder } from "../support/logits.ts";

let shop: Workshop;
let caches = 0;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const ids = [1, 17, 88, 42, 5];
type Half = "float16" | "bfloat16";

const as = (dtype: Half | "float32") => (tensors: Map<string, Tensor>) =>
  new Map([...tensors].map(([name, tensor]) => [name, tensor.to(dtype)]));

const newCache = () => shop.path(`cache-${caches++}`);

/** Paths of all files in a cache. */
async function filesIn(cache: string): Promise<string[]> {
  const entries = await readdir(cache, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

describe.each<Half>(["bfloat16", "float16"])("a %s checkpoint", (dtype) => {
  test("computes with exactly its own numbers as float32", async () => {
    const half = await shop.checkpoint({ tensors: as(dtype) });
    const rounded = await shop.checkpoint({ tensors: (tensors) => as("float32")(as(dtype)(tensors)) });
    const cacheFolder = newCache();
    const found = await logitsOfFolder(half, ids, { cacheFolder });
    expect(found).toEqual(await logitsOfFolder(rounded, ids, { cacheFolder: newCache() }));
    const full = await logitsOfFolder(fixture("models", "llama"), ids);
    expect(largestDifference(found, full)).toBeLessThan(0.1 * rangeOf(full));
    expect(largestDifference(found, full)).toBeGreaterThan(0);
    const [copy, ...others] = await filesIn(cacheFolder);
    expect(others).toEqual([]);
    const [copied, original] = [await readTensors(copy!), await readTensors(join(rounded, "model.safetensors"))];
    expect([...copied.keys()].sort()).toEqual([...original.keys()].sort());
    for (const [name, tensor] of copied) expect([name, tensor]).toEqual([name, original.get(name)]);
  });

  test("is converted once: a second load leaves the copy as it is", async () => {
    const folder = await shop.checkpoint({ tensors: as(dtype) });
    const cacheFolder = newCache();
    const first = await logitsOfFolder(folder, ids, { cacheFolder });
    const [copy] = await filesIn(cacheFolder);
    const before = await stat(copy!, { bigint: true });
    expect(await logitsOfFolder(folder, ids, { cacheFolder })).toEqual(first);
    const after = await stat(copy!, { bigint: true });
    expect([after.mtimeNs, after.ino]).toEqual([before.mtimeNs, before.ino]);
    expect(await filesIn(cacheFolder)).toEqual([copy]);
  });
});

test("a float32 checkpoint is used where it lies", async () => {
  const cacheFolder = newCache();
  await logitsOfFolder(fixture("models", "llama"), ids, { cacheFolder });
  expect(await filesIn(cacheFolder)).toEqual([]);
});

test("shards of mixed dtypes are each converted", async () => {
  const mixed = (tensors: Map<string, Tensor>) =>
    new Map([...tensors].map(([name, tensor], i) => [name, i % 3 === 0 ? tensor.to("bfloat16") : tensor]));
  const [sharded, single] = [await shop.sharded(3, { tensors: mixed }), await shop.checkpoint({ tensors: mixed })];
  const cacheFolder = newCache();
  expect(await logitsOfFolder(sharded, ids, { cacheFolder })).toEqual(
    await logitsOfFolder(single, ids, { cacheFolder: newCache() }),
  );
  expect((await filesIn(cacheFolder)).length).toBe(3);
});

describe("a copy that is no good", () => {
  test.each<[string, (copy: string) => Promise<unknown>]>([
    ["truncated", (copy) => truncate(copy, 1000)],
    ["empty", (copy) => truncate(copy, 0)],
    ["longer", async (copy) => writeFile(copy, Buffer.concat([await readFile(copy), Buffer.alloc(8)]))],
    ["with a broken header", async (copy) => writeFile(copy, Buffer.from(await readFile(copy)).fill(0x20, 8, 16))],
    ["without a header", async (copy) => writeFile(copy, new Uint8Array((await stat(copy)).size))],
  ])("%s is made again", async (_, damage) => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    const first = await logitsOfFolder(folder, ids, { cacheFolder });
    const [copy] = await filesIn(cacheFolder);
    const bytes = await readFile(copy!);
    await damage(copy!);
    expect(await logitsOfFolder(folder, ids, { cacheFolder })).toEqual(first);
    expect(Buffer.compare(await readFile(copy!), bytes)).toBe(0);
    expect(await filesIn(cacheFolder)).toEqual([copy]);
  });

  test("stale: when the checkpoint changes, so does what is computed", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    const first = await logitsOfFolder(folder, ids, { cacheFolder });
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    bytes.fill(0, bytes.length - 2000);
    await writeFile(path, bytes);
    await utimes(path, new Date(), new Date(Date.now() + 5000));
    expect(largestDifference(await logitsOfFolder(folder, ids, { cacheFolder }), first)).toBeGreaterThan(0);
  });

  test("a folder in its place is reported, not raised raw", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    await logitsOfFolder(folder, ids, { cacheFolder });
    const [copy] = await filesIn(cacheFolder);
    const other = newCache();
    await mkdir(join(other, "float32", copy!.split("/").at(-1)!), { recursive: true });
    await expect(logitsOfFolder(folder, ids, { cacheFolder: other })).rejects.toMatchObject({ code: "write-failed" });
  });
});

describe("nothing is left behind", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "by weights with %p, which are refused",
    async (bad) => {
      const name = "model.layers.1.mlp.up_proj.weight";
      const tensors = (all: Map<string, Tensor>) => {
        const values = all.get(name)!.toFloat32().slice();
        values[7] = bad;
        return as("float16")(all.set(name, Tensor.float32(all.get(name)!.shape, values)));
      };
      const cacheFolder = newCache();
      await expect(logitsOfFolder(await shop.checkpoint({ tensors }), ids, { cacheFolder })).rejects.toMatchObject({
        code: "tensor-invalid",
        details: { name, element: 7 },
      });
      expect(await filesIn(cacheFolder)).toEqual([]);
    },
  );

  test("by a conversion that was aborted, and the next one works", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    const controller = new AbortController();
    const onProgress = ({ done }: ProgressEvent) => {
      if (done > 10_000) controller.abort(new Error("enough"));
    };
    const model = await loadModel(folder, { cacheFolder, signal: controller.signal, onProgress });
    await expect(model.warmUp()).rejects.toMatchObject({ code: "aborted" });
    expect(await filesIn(cacheFolder)).toEqual([]);
    await model.release();
    expect((await logitsOfFolder(folder, ids, { cacheFolder })).every(Number.isFinite)).toBe(true);
  });

  test("what killed runs left of the same file long ago is removed, fresh and foreign files are not", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    await logitsOfFolder(folder, ids, { cacheFolder });
    const copy = join(cacheFolder, "float32", basename((await filesIn(cacheFolder))[0]!));
    const partial = (target: string, tag: string) => join(dirname(target), `.${basename(target)}.${tag}.partial`);
    const [old, fresh, foreign] = [
      partial(copy, "00000001"),
      partial(copy, "00000002"),
      partial(`${copy}x`, "00000001"),
    ];
    for (const path of [old, fresh, foreign]) await writeFile(path, "half");
    const longAgo = new Date(Date.now() - 7_200_000);
    for (const path of [old, foreign]) await utimes(path, longAgo, longAgo);
    await rm(copy);
    await logitsOfFolder(folder, ids, { cacheFolder });
    expect([old, fresh, foreign, copy].map((path) => existsSync(path))).toEqual([false, true, true, true]);
  });

  test("where the cache cannot be written, which is said", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    await writeFile(shop.path("plain-file"), "");
    for (const cacheFolder of [shop.path("plain-file"), "/dev/null/cache"]) {
      await expect(logitsOfFolder(folder, ids, { cacheFolder })).rejects.toMatchObject({
        code: "write-failed",
        hint: expect.stringContaining("VENE_CACHE"),
      });
    }
  });

  test("by several models that convert the same file at once", async () => {
    const folder = await shop.checkpoint({ tensors: as("bfloat16") });
    const cacheFolder = newCache();
    const all = await Promise.all([1, 2, 3, 4].map(() => logitsOfFolder(folder, ids, { cacheFolder })));
    for (const one of all) expect(one).toEqual(all[0]);
    expect((await filesIn(cacheFolder)).length).toBe(1);
  });
});

test("progress counts the source's bytes up to all of them, also when nothing needs converting", async () => {
  const folder = await shop.checkpoint({ tensors: as("float16") });
  const cacheFolder = newCache();
  for (let run = 0; run < 2; run++) {
    const events: ProgressEvent[] = [];
    await logitsOfFolder(folder, ids, { cacheFolder, onProgress: (event) => events.push(event) });
    const converting = events.filter(({ phase }) => phase.startsWith("converting"));
    const done = converting.map((event) => event.done);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(converting.at(-1)).toMatchObject({ done: converting[0]!.total, unit: "bytes" });
  }
});
