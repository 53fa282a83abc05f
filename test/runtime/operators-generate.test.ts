/** Operators while generating: by tokens policy and by location, with and without the KV cache, in batches and in chunks. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import type { Kind } from "../../src/spec/kinds.ts";
import { fixture } from "../support/fixtures.ts";
import { randomTensors } from "../support/operators.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
});
afterAll(() => model.release());

const sizes = { d: 32, n: 32, r: 4, f: 16, m: 32 };
const random = seededRandom(7);
const prompt = (length: number) => Array.from({ length }, () => Math.floor(random.uniform() * 96));

function representation(kind: Kind, more: Partial<RepresentationConfig> = {}): RepresentationConfig {
  return { layer: 1, component: "mlp_output", interventionType: kind, tensors: randomTensors(kind, sizes, 3), ...more };
}

const sourceless = ["loreft", "consreft", "direft", "lobireft", "noreft", "nodireft"] as const;

/** Greedy tokens by forward over the whole text each time: no cache, the intervention at every position. */
async function recomputed(iv: IntervenableModel, ids: readonly number[], count: number): Promise<number[]> {
  const text = [...ids];
  for (let i = 0; i < count; i++) {
    const { intervened } = await iv.forward({ base: [text], outputOriginalOutput: false });
    const last = intervened.logits.toFloat32().subarray(-96);
    text.push(last.indexOf(Math.max(...last)));
  }
  return text.slice(ids.length);
}

const options = { maxNewTokens: 10, eosTokenIds: [] };
const everywhere = { ...options, interveneOnPrompt: true };

describe.each(sourceless)("%s", (kind) => {
  test("on all tokens, the cache changes nothing, nor do batch mates", async () => {
    const iv = new IntervenableModel({ representations: [representation(kind)] }, model);
    const rows = [prompt(7), prompt(3), prompt(5)];
    const together = await iv.generate(rows, everywhere);
    const plain = await model.generate(rows, options);
    for (const [r, row] of rows.entries()) {
      expect(together[r]!.tokens).toEqual(await recomputed(iv, row, 10));
      expect((await iv.generate(row, everywhere)).tokens).toEqual(together[r]!.tokens);
    }
    expect(together.map((one) => one.tokens)).not.toEqual(plain.map((one) => one.tokens));
  });
});

test("a rotation with a constant source steers", async () => {
  const more = { sourceRepresentation: randomVector(32, 5, 6) };
  const iv = new IntervenableModel({ representations: [representation("low-rank-rotated-space", more)] }, model);
  const ids = prompt(6);
  const steered = await iv.generate(ids, everywhere);
  expect(steered.tokens).toEqual(await recomputed(iv, ids, 10));
  expect(steered.tokens).not.toEqual((await model.generate(ids, options)).tokens);
});

test("a strength per row; 0 is the plain model", async () => {
  const iv = new IntervenableModel({ representations: [representation("loreft")] }, model);
  const ids = prompt(6);
  const rows = await iv.generate([ids, ids, ids], { ...everywhere, strength: [0, 1, 0.5] });
  expect(rows[0]!.tokens).toEqual((await model.generate(ids, options)).tokens);
  expect(rows[1]!.tokens).toEqual((await iv.generate(ids, everywhere)).tokens);
  expect(rows[2]!.tokens).toEqual((await iv.generate(ids, { ...everywhere, strength: 0.5 })).tokens);
});

test("units together at positions of a prompt that is read in chunks otherwise", async () => {
  const wide = { ...sizes, n: 64 };
  const more = { maxNumberOfUnits: 2, tensors: randomTensors("low-rank-rotated-space", wide, 11) };
  const iv = new IntervenableModel({ representations: [representation("low-rank-rotated-space", more)] }, model);
  // 300 rows of 8 tokens are read in several steps; positions 1 and 6 are in different ones.
  const rows = Array.from({ length: 300 }, () => prompt(8));
  const sources = [Array.from({ length: 300 }, () => prompt(8))];
  const unitLocations = { "sources->base": [[[[0, 2]]], [[[1, 6]]]] };
  const some = [0, 150, 299];
  const all = await iv.generate(rows, { ...options, maxNewTokens: 4, sources, unitLocations });
  for (const r of some) {
    const alone = await iv.generate([rows[r]!], {
      ...options,
      maxNewTokens: 4,
      sources: [[sources[0]![r]!]],
      unitLocations,
    });
    expect(all[r]!.tokens).toEqual(alone[0]!.tokens);
  }
  const { intervened } = await iv.forward({ base: [rows[0]!], sources: [[sources[0]![0]!]], unitLocations });
  const last = intervened.logits.toFloat32().subarray(-96);
  expect(all[0]!.tokens[0]).toBe(last.indexOf(Math.max(...last)));
});

test("a wrong number of units is refused, everywhere too", async () => {
  const more = { maxNumberOfUnits: 2, tensors: randomTensors("rotated-space", { ...sizes, n: 64 }, 1) };
  const iv = new IntervenableModel({ representations: [representation("rotated-space", more)] }, model);
  const base = [prompt(5)];
  for (const unitLocations of [{ base: 3 }, null]) {
    const given = iv.forward({ base, sources: [base], unitLocations });
    await expect(given).rejects.toMatchObject({ code: "locations-invalid" });
  }
});

test("a policy needs a source for those that take one", async () => {
  const iv = new IntervenableModel({ representations: [representation("rotated-space")] }, model);
  await expect(iv.generate(prompt(4), everywhere)).rejects.toMatchObject({ code: "sources-invalid" });
});

test("two artefacts of one shape share a session, and leave the plain model as it is", async () => {
  const one = new IntervenableModel({ representations: [representation("loreft")] }, model);
  const other = new IntervenableModel(
    { representations: [representation("loreft", { tensors: randomTensors("loreft", sizes, 90) })] },
    model,
  );
  const ids = prompt(6);
  await one.warmUp();
  const plain = (await model.generate(ids, options)).tokens;
  const first = (await one.generate(ids, everywhere)).tokens;
  const second = (await other.generate(ids, everywhere)).tokens;
  expect(second).not.toEqual(first);
  expect((await one.generate(ids, everywhere)).tokens).toEqual(first);
  expect((await model.generate(ids, options)).tokens).toEqual(plain);
});

describe("collecting", () => {
  const heads = { layer: 1, component: "head_attention_value_output", interventionType: "collect" } as const;
  const base = [prompt(5), prompt(5)];

  test("goes by subspaces, per row, as well as by dimension", async () => {
    const collect = { layer: 1, component: "block_output", interventionType: "collect" } as const;
    const iv = new IntervenableModel({ representations: [collect] }, model);
    const [all] = await iv.collect({ base });
    const [some] = await iv.collect({
      base,
      subspaces: [
        [
          [0, 3],
          [7, 1],
        ],
      ],
    });
    expect(some!.shape).toEqual([2, 5, 2]);
    const wide = all!.toFloat32();
    const expected = [0, 1].flatMap((row) =>
      [0, 1, 2, 3, 4].flatMap((at) => (row === 0 ? [0, 3] : [7, 1]).map((f) => wide[(row * 5 + at) * 32 + f]!)),
    );
    expect([...some!.toFloat32()]).toEqual(expected);
    for (const subspaces of [5, [[[0]], [[0]]], [[[0], [0, 1]]], [[[40]]]]) {
      await expect(iv.collect({ base, subspaces: subspaces as never })).rejects.toMatchObject({
        code: "intervention-invalid",
      });
    }
  });

  test("while generating keeps the heads and features asked for, those of forward", async () => {
    const iv = new IntervenableModel({ representations: [{ ...heads, unit: "h.pos", dimension: 3 }] }, model);
    const unitLocations = { base: [[[[0, 3]], [[1, 2]]]] };
    const [tensor] = await iv.collect({ base, unitLocations });
    expect(tensor!.shape).toEqual([2, 2, 2, 3]);
    const values = tensor!.toFloat32();
    const rows = await iv.generate(base, { maxNewTokens: 2, eosTokenIds: [], unitLocations });
    rows.forEach(({ collected }, row) => {
      const [kept] = [...collected!.values()];
      expect(kept!.map(({ position }) => position)).toEqual([1, 2]);
      kept!.forEach((one, at) => {
        const expected = [0, 1].flatMap((head) => [0, 1, 2].map((f) => values[((row * 2 + head) * 2 + at) * 3 + f]!));
        expect(one.values.length).toBe(6);
        one.values.forEach((value, i) => {
          expect(value).toBeCloseTo(expected[i]!, 5);
        });
      });
    });
  });

  test("by policy keeps all heads of every token", async () => {
    const iv = new IntervenableModel({ representations: [{ ...heads, unit: "h", dimension: 3 }] }, model);
    const { collected } = await iv.generate(base[0]!, { maxNewTokens: 3, eosTokenIds: [], interveneOnPrompt: true });
    const [kept] = [...collected!.values()];
    expect(kept!.length).toBe(5 + 2);
    expect(kept!.every(({ values }) => values.length === 4 * 3)).toBe(true);
  });
});
