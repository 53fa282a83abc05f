/** A manifest's dimension: only the leading or the listed features are touched, within each head where heads are counted. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Artefact } from "../../src/artefact/artefact.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import type { Intervention } from "../../src/spec/intervention.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { flat } from "../support/logits.ts";
import { type Hook, type PlainLlama, plainForward, plainGreedy, readPlainLlama } from "../support/plain-llama.ts";
import { randomVector } from "../support/vectors.ts";

const folder = fixture("models", "llama");
const vector = randomVector(32, 21, 2);
const prompt = [1, 17, 88, 42, 5, 63];
const source = [9, 8, 7, 6, 5, 4];

let model: Model;
let plain: PlainLlama;
beforeAll(async () => {
  model = await loadModel(folder);
  plain = await readPlainLlama(folder);
});
afterAll(() => model.release());

/** As a file with that dimension would be read. */
function withDimension(
  dimension: Intervention["dimension"],
  representation: Partial<RepresentationConfig>,
): IntervenableModel {
  const config = { layer: 1, component: "block_output", interventionType: "addition", ...representation };
  const { artefact } = new IntervenableModel({ representations: config }, model);
  const [entry] = artefact.manifest.interventions;
  const manifest = { ...artefact.manifest, interventions: [{ ...entry!, dimension }] };
  return new IntervenableModel({ ...artefact, manifest } as Artefact, model);
}

async function expectHook(iv: IntervenableModel, hook: Hook, sources?: number[][][]): Promise<void> {
  const { intervened } = await iv.forward({ base: [prompt], sources });
  const expected = flat(plainForward(plain, prompt, hook));
  expect(largestDifference(intervened.logits.toFloat32(), expected)).toBeLessThan(1e-5 * rangeOf(expected));
}

/** Does something to the features of layer 1's component that `chosen` holds. */
const at =
  (component: string, chosen: (feature: number) => boolean, change: (old: number, feature: number) => number): Hook =>
  (layer, name, rows) => {
    if (layer !== 1 || name !== component) return;
    for (const row of rows)
      row.forEach((old, i) => {
        if (chosen(i)) row[i] = change(old, i);
      });
  };

describe("dimension", () => {
  test.each([
    ["1", 1, (i: number) => i < 1],
    ["5", 5, (i: number) => i < 5],
    ["as wide as the site", 32, () => true],
    ["wider, as pyvene writes for several units", 64, () => true],
    ["null", null, () => true],
    ["a list", [3, 30, 7], (i: number) => [3, 7, 30].includes(i)],
  ])("%s, added and generated with", async (_, dimension, chosen) => {
    const iv = withDimension(dimension, { sourceRepresentation: vector });
    const hook = at("block_output", chosen, (old, i) => old + vector[i]!);
    await expectHook(iv, hook);
    const tokens = { prompt: "all", generated: "all" } as const;
    const { tokens: found } = await iv.generate(prompt, { maxNewTokens: 6, eosTokenIds: [], tokens });
    expect(found).toEqual(plainGreedy(plain, prompt, 6, hook));
  });

  test("zero clears no more than that", async () => {
    await expectHook(
      withDimension(9, { interventionType: "zero" }),
      at(
        "block_output",
        (i) => i < 9,
        () => 0,
      ),
    );
  });

  test("within each head where the unit counts heads, with a run-time source, too", async () => {
    const read: number[][] = [];
    plainForward(plain, source, (layer, component, rows) => {
      if (layer === 1 && component === "attention_value_output") for (const row of rows) read.push([...row]);
    });
    const hook: Hook = (layer, component, rows) => {
      if (layer !== 1 || component !== "attention_value_output") return;
      for (const [position, row] of rows.entries()) {
        for (const i of row.keys()) if (i % 8 < 3) row[i] = read[position]![i]!;
      }
    };
    const iv = withDimension(3, { component: "head_attention_value_output", unit: "h", interventionType: "vanilla" });
    await expectHook(iv, hook, [[source]]);
  });

  test("subspaces come before it", async () => {
    const iv = withDimension(4, { sourceRepresentation: vector });
    const { intervened } = await iv.forward({ base: [prompt], subspaces: [[[10, 11]]] });
    const expected = flat(
      plainForward(
        plain,
        prompt,
        at(
          "block_output",
          (i) => i === 10 || i === 11,
          (old, i) => old + vector[i]!,
        ),
      ),
    );
    expect(largestDifference(intervened.logits.toFloat32(), expected)).toBeLessThan(1e-4);
  });

  test("collect hands out those features, in forward and in generate", async () => {
    const all = withDimension(null, { interventionType: "collect" });
    const some = withDimension([30, 2], { interventionType: "collect" });
    const [whole, part] = [(await all.collect({ base: [prompt] }))[0]!, (await some.collect({ base: [prompt] }))[0]!];
    expect(part.shape).toEqual([1, 6, 2]);
    const values = whole.toNumbers();
    expect(part.toNumbers()).toEqual(prompt.flatMap((_, p) => [values[p * 32 + 30], values[p * 32 + 2]]));
    const tokens = { prompt: "all", generated: "none" } as const;
    const { collected } = await some.generate(prompt, { maxNewTokens: 1, tokens });
    expect([...collected!.values()][0]!.flatMap((row) => [...row.values])).toEqual(part.toNumbers());
  });

  test("a list beyond the width is refused", () => {
    expect(() => withDimension([0, 32], { sourceRepresentation: vector })).toThrow(
      expect.objectContaining({
        code: "intervention-invalid",
        details: expect.objectContaining({ feature: 32, width: 32 }),
      }),
    );
  });
});
