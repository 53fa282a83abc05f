/** The cache, chunks, padding and batches are ways of computing: none of them may change a result. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { KvCache } from "../../src/runtime/kv-cache.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import {
  attentionMask,
  idsBetween,
  leftPadded,
  type PromptBatch,
  positionIds,
  rectangular,
} from "../../src/runtime/prompt-batch.ts";
import { argmax } from "../../src/runtime/sampling.ts";
import { TokenRun } from "../../src/runtime/token-run.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";
import { plainGreedy, readPlainLlama } from "../support/plain-llama.ts";

const prompts = [
  [1, 17, 88, 42, 5],
  [9],
  [71, 12, 12, 95, 0, 44, 3, 3, 60, 2, 81],
  [30, 30],
  [64, 7, 19, 50, 22, 38, 90],
];

describe.each(["llama", "gpt2", "llama3_rope"])("%s", (name) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(fixture("models", name));
  });
  afterAll(() => model.release());

  /** One token after the other, each from a forward pass over everything so far. */
  async function recomputed(prompt: readonly number[], count: number): Promise<number[]> {
    const ids = [...prompt];
    for (let i = 0; i < count; i++)
      ids.push(argmax((await logitsOf(model, ids)).subarray(-model.shape.vocabularySize)));
    return ids.slice(prompt.length);
  }

  test("greedy with the cache is greedy without it", async () => {
    for (const prompt of prompts.slice(0, 3)) {
      const { tokens } = await model.generate(prompt, { maxNewTokens: 24, eosTokenIds: [] });
      expect(tokens).toEqual(await recomputed(prompt, 24));
    }
  });

  test("five ragged prompts in a batch get the tokens they get alone", async () => {
    const options = { maxNewTokens: 20, eosTokenIds: [] };
    const together = await model.generate(prompts, options);
    expect(new Set(together.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(3);
    for (const [row, prompt] of prompts.entries()) {
      const alone = await model.generate(prompt, options);
      expect([row, together[row]!.tokens]).toEqual([row, alone.tokens]);
      expect(together[row]!.promptTokens).toEqual(prompt);
    }
  });

  test("a row that ends early does not change its mates", async () => {
    const options = { maxNewTokens: 20, eosTokenIds: [] };
    const full = await model.generate(prompts, options);
    const end = full[2]!.tokens[4]!;
    const cut = await model.generate(prompts, { ...options, eosTokenIds: [end] });
    cut.forEach((row, r) => {
      const at = full[r]!.tokens.indexOf(end);
      expect(row.tokens).toEqual(at < 0 ? full[r]!.tokens : full[r]!.tokens.slice(0, at + 1));
      expect(row.finishReason).toBe(at < 0 ? "length" : "eos");
    });
  });

  test.each([1, 2, 3, 7])("a prompt read in steps of %i gives the logits of one step", async (size) => {
    const rows = prompts.slice(1);
    const batch = leftPadded(rows, 0, model.shape.vocabularySize);
    const lease = await model.lease([]);
    const run = new TokenRun(lease, model.shape, batch);
    const vocabulary = model.shape.vocabularySize;
    const found = rows.map(() => new Float32Array(batch.columns * vocabulary));
    while (run.done < batch.columns) {
      const [from, to] = [run.done, Math.min(batch.columns, run.done + size)];
      const logitRows = Array.from({ length: rows.length * (to - from) }, (_, i) => i);
      const { logits } = await run.step({ ids: idsBetween(batch, from, to), logitRows, edits: [] });
      const width = (to - from) * vocabulary;
      for (const [r, values] of found.entries()) {
        values.set(logits.data.subarray(r * width, (r + 1) * width), from * vocabulary);
      }
    }
    lease.done();
    for (const [r, row] of rows.entries()) {
      const expected = await logitsOf(model, row);
      const own = found[r]!.subarray((batch.columns - row.length) * vocabulary);
      expect(largestDifference(own, expected)).toBeLessThan(1e-5 * rangeOf(expected));
    }
  });
});

test("greedy tokens are those of plain JavaScript in float64, which has no cache at all", async () => {
  const folder = fixture("models", "llama");
  const [model, plain] = [await loadModel(folder), await readPlainLlama(folder)];
  for (const prompt of prompts) {
    const { tokens } = await model.generate(prompt, { maxNewTokens: 10, eosTokenIds: [] });
    expect(tokens).toEqual(plainGreedy(plain, prompt, 10));
  }
  await model.release();
});

describe("KvCache", () => {
  const shape = {
    layers: 2,
    hiddenSize: 1,
    vocabularySize: 1,
    contextLength: 1,
    cache: [
      { key: 2, value: 3 },
      { key: 1, value: 2 },
    ],
  };

  test.each([1, 3])("holds what was appended, in order, across growth, for %i rows", (rows) => {
    const cache = new KvCache(shape, rows, 5000);
    const kept = new Map<string, number[][]>(
      cache.outputs.map((name) => [name, Array.from({ length: rows }, () => [])]),
    );
    let counter = 0;
    for (const count of [3, 1, 1, 60, 1, 2000, 1, 1, 700, 1]) {
      const results = Object.fromEntries(
        cache.outputs.map((name) => {
          const { layer, kind } = /^step\.(?<layer>\d)\.(?<kind>key|value)$/.exec(name)!.groups as {
            layer: string;
            kind: "key" | "value";
          };
          const width = shape.cache[Number(layer)]![kind];
          const data = Float32Array.from({ length: rows * count * width }, () => counter++);
          kept.get(name)!.forEach((list, row) => {
            list.push(...data.subarray(row * count * width, (row + 1) * count * width));
          });
          return [name, { data, shape: [rows, count, width] }];
        }),
      );
      cache.append(results, count);
      const feeds = cache.feeds();
      for (const [name, expected] of kept) {
        const feed = feeds[name.replace("step", "past")]!;
        const [, slots, width] = feed.shape as [number, number, number];
        expect([feed.shape[0], slots]).toEqual([rows, cache.slots]);
        expected.forEach((list, row) => {
          const start = row * slots * width;
          expect([...feed.data.subarray(start, start + cache.length * width)]).toEqual(list);
        });
      }
    }
    expect(cache.length).toBe(2769);
    if (rows === 1) expect(cache.slots).toBe(cache.length);
  });
});

describe("layouts", () => {
  const batch: PromptBatch = rectangular(
    [
      [5, 6, 7, 8],
      [5, 6, 7, 8],
      [5, 6, 7, 8],
    ],
    [
      [0, 0, 1, 1],
      [1, 1, 0, 0],
      [1, 0, 1, 1],
    ],
    96,
  );

  test("positions count real tokens, wherever the padding is", () => {
    expect([...positionIds(batch, 0, 4)].map(Number)).toEqual([0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 2]);
    expect([...positionIds(batch, 2, 4)].map(Number)).toEqual([0, 1, 1, 1, 1, 2]);
    expect(batch.columnsOf.map((columns) => [...columns])).toEqual([
      [2, 3],
      [0, 1],
      [0, 2, 3],
    ]);
  });

  test("nobody looks at padding, ahead, or at unused slots; padding looks at itself", () => {
    const mask = attentionMask(batch, 2, 4, 3);
    const lines = Array.from({ length: 6 }, (_, i) => [...mask.subarray(i * 5, (i + 1) * 5)].join(""));
    // Per row two queries (columns 2 and 3) over slots 0 to 2 (2 is unused) and the step's own two columns.
    expect(lines).toEqual(["00010", "00011", "11010", "11001", "10010", "10011"]);
  });

  test("padding in the middle and on the right changes nothing for the real tokens", async () => {
    const model = await loadModel(fixture("models", "llama"));
    const lease = await model.lease([]);
    const run = new TokenRun(lease, model.shape, batch);
    const logitRows = [2, 3, 4, 5, 8, 10, 11];
    const { logits } = await run.step({ ids: batch.ids, logitRows, edits: [] }, false);
    lease.done();
    const expected = [await logitsOf(model, [7, 8]), await logitsOf(model, [5, 6]), await logitsOf(model, [5, 7, 8])];
    const all = Float32Array.from(expected.flatMap((values) => [...values]));
    expect(largestDifference(logits.data, all)).toBeLessThan(1e-5 * rangeOf(all));
    await model.release();
  });
});
