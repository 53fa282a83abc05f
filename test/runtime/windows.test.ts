/** Sliding windows: the mask against its definition, and generation that depends on neither cache, padding nor batch. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { loadModel } from "../../src/runtime/model.ts";
import { attentionMask, rectangular } from "../../src/runtime/prompt-batch.ts";
import { fixture } from "../support/fixtures.ts";
import { logitsOf } from "../support/logits.ts";

const batches = fc
  .record({ rows: fc.integer({ min: 1, max: 3 }), columns: fc.integer({ min: 1, max: 9 }) })
  .chain(({ rows, columns }) =>
    fc.record({
      real: fc.array(fc.array(fc.boolean(), { minLength: columns, maxLength: columns }), {
        minLength: rows,
        maxLength: rows,
      }),
      cuts: fc.tuple(fc.nat(columns), fc.nat(columns)),
      spare: fc.nat(3),
      window: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constant(2 ** 31 - 1)),
    }),
  );

describe("the mask", () => {
  test("lets a query see itself and the real tokens before it that are fewer than the window away", () => {
    fc.assert(
      fc.property(batches, ({ real, cuts, spare, window }) => {
        fc.pre(real.every((row) => row.includes(true)) && cuts[0] !== cuts[1]);
        const [from, to] = [Math.min(...cuts), Math.max(...cuts)];
        const mask = real.map((row) => row.map(Number));
        const batch = rectangular(
          mask.map((row) => row.map(() => 1)),
          mask,
          4,
        );
        const slots = from + spare;
        const found = attentionMask(batch, from, to, slots, window);
        const step = to - from;
        expect(found.length).toBe(real.length * step * (slots + step));
        real.forEach((row, r) => {
          for (let query = from; query < to; query++) {
            for (let slot = 0; slot < slots + step; slot++) {
              const key = slot < slots ? slot : from + slot - slots;
              const held = slot >= slots || slot < from;
              const between = row.slice(key + 1, query + 1).filter(Boolean).length;
              const seen = held && (key === query || (key < query && row[key] === true && between < window));
              expect(found[(r * step + query - from) * (slots + step) + slot]).toBe(seen ? 1 : 0);
            }
          }
        });
      }),
    );
  });
});

describe("generation", () => {
  const prompts = [[1, 17, 88, 42, 5, 63, 9, 30, 71, 12, 12, 95], [44], [64, 7, 19, 50, 3, 3, 81]];

  test.each(["mistral", "gemma2", "gemma3"])(
    "%s: each token is the best after all before it, computed anew",
    async (family) => {
      const model = await loadModel(fixture("models", family));
      const rows = await model.generate(prompts, { maxNewTokens: 14, eosTokenIds: [] });
      for (const [r, { tokens }] of rows.entries()) {
        const ids = [...prompts[r]!, ...tokens];
        const logits = await logitsOf(model, ids);
        const vocabulary = model.shape.vocabularySize;
        const best = ids.map((_, position) => {
          const scores = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
          return scores.indexOf(scores.reduce((most, value) => Math.max(most, value)));
        });
        expect(tokens).toEqual(best.slice(prompts[r]!.length - 1, -1));
      }
      await model.release();
    },
  );
});
