/** unit_locations: every spelling that pyvene has means what it means there, and everything else is refused with the place. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import type { UnitLocations } from "../../src/runtime/intervenable/locations.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { flat } from "../support/logits.ts";
import { type PlainLlama, plainForward, readPlainLlama } from "../support/plain-llama.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
let plain: PlainLlama;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
  plain = await readPlainLlama(fixture("models", "llama"));
});
afterAll(() => model.release());

const base = [
  [1, 17, 88, 42, 5, 63],
  [9, 8, 7, 6, 5, 4],
];
const source = [
  [70, 71, 72, 73, 74, 75],
  [20, 30, 40, 50, 60, 90],
];
const vanilla: RepresentationConfig = { layer: 1, component: "block_output", interventionType: "vanilla" };
const heads = (unit: "h" | "h.pos"): RepresentationConfig => ({
  layer: 1,
  component: "head_attention_value_output",
  unit,
  interventionType: "vanilla",
});

type Move = readonly [row: number, from: number, to: number, head?: number];

/** Logits when in each row the values at `to` are the source's at `from`, of one head or all. */
function moved(component: string, moves: readonly Move[]): Float32Array {
  return flat(
    base.flatMap((ids, row) => {
      const taken: Float64Array[] = [];
      plainForward(plain, source[row]!, (layer, name, rows) => {
        if (layer === 1 && name === component) taken.push(...rows.map((values) => values.slice()));
      });
      return plainForward(plain, ids, (layer, name, rows) => {
        if (layer !== 1 || name !== component) return;
        for (const [at, from, to, head] of moves) {
          if (at !== row) continue;
          const [start, end] = head === undefined ? [0, 32] : [head * 8, head * 8 + 8];
          rows[to]!.set(taken[from]!.subarray(start, end), start);
        }
      });
    }),
  );
}

const run = (representation: RepresentationConfig, unitLocations: unknown) =>
  new IntervenableModel({ representations: representation }, model).forward({
    base,
    sources: [source],
    unitLocations: unitLocations as UnitLocations,
  });

async function expectMoved(
  representation: RepresentationConfig,
  locations: unknown,
  moves: readonly Move[],
): Promise<void> {
  const component = representation.component.replace(/^head_/, "");
  const { intervened } = await run(representation, locations);
  const expected = moved(component, moves);
  expect(largestDifference(intervened.logits.toFloat32(), expected)).toBeLessThan(1e-5 * rangeOf(expected));
}

const both = (from: number, to: number): Move[] => [
  [0, from, to],
  [1, from, to],
];

describe("positions", () => {
  test.each<[string, unknown, readonly Move[]]>([
    ["one number for source and base", { "sources->base": 4 }, both(4, 4)],
    ["a pair", { "sources->base": [2, 5] }, both(2, 5)],
    ["three numbers: positions of both", { "sources->base": [0, 2, 4] }, [...both(0, 0), ...both(2, 2), ...both(4, 4)]],
    ["nested, one row for all", { "sources->base": [[[[1, 2]]], [[[4, 5]]]] }, [...both(1, 4), ...both(2, 5)]],
    [
      "nested, per row",
      { "sources->base": [[[[0], [5]]], [[[1], [2]]]] },
      [
        [0, 0, 1],
        [1, 5, 2],
      ],
    ],
    ["negative, from the end", { "sources->base": [-1, -6] }, both(5, 0)],
    ["a unit named twice is written once, the last one", { "sources->base": [[[[0, 5]]], [[[3, 3]]]] }, both(5, 3)],
    ["null is everywhere", { "sources->base": null }, [0, 1, 2, 3, 4, 5].flatMap((p) => both(p, p))],
    ["null for one of a pair", { "sources->base": [null, null] }, [0, 1, 2, 3, 4, 5].flatMap((p) => both(p, p))],
  ])("%s", async (_, locations, moves) => {
    await expectMoved(vanilla, locations, moves);
  });

  test("padding never counts: position 0 is the first real token", async () => {
    const iv = new IntervenableModel(
      { representations: { layer: 1, component: "block_output", interventionType: "zero" } },
      model,
    );
    const ragged = [
      [5, 6, 7, 8, 9],
      [10, 11],
    ];
    const together = await iv.forward({ base: ragged, unitLocations: { base: 0 } });
    const width = model.shape.vocabularySize;
    const last = together.intervened.logits.toFloat32().subarray(-2 * width);
    const alone = await iv.forward({ base: [ragged[1]!], unitLocations: { base: 0 } });
    expect(largestDifference(last, alone.intervened.logits.toFloat32())).toBeLessThan(1e-4);
    expect(largestDifference(last, alone.original!.logits.toFloat32())).toBeGreaterThan(0.01);
  });
});

describe("heads", () => {
  test("unit h: a list names heads, at all positions", async () => {
    const all = [0, 1, 2, 3, 4, 5];
    const moves = [0, 1].flatMap((row) => [1, 3].flatMap((head) => all.map((p): Move => [row, p, p, head])));
    await expectMoved(heads("h"), { "sources->base": [[[[1, 3]]], [[[1, 3]]]] }, moves);
    await expectMoved(heads("h"), { "sources->base": [[[[1, -1]]], [[[1, -1]]]] }, moves);
  });

  test("unit h.pos: pairs of heads and positions", async () => {
    const locations = { "sources->base": [[[[[2]], [[0, 1]]]], [[[[2]], [[4, 5]]]]] };
    const moves = [0, 1].flatMap((row): Move[] => [
      [row, 0, 4, 2],
      [row, 1, 5, 2],
    ]);
    await expectMoved(heads("h.pos"), locations, moves);
  });

  test("a head takes another head's value where source and base name different ones", async () => {
    const locations = { "sources->base": [[[[[0]], [[3]]]], [[[[2]], [[3]]]]] };
    const { intervened, original } = await run(heads("h.pos"), locations);
    const same = await run(heads("h.pos"), { "sources->base": [[[[[2]], [[3]]]], [[[[2]], [[3]]]]] });
    expect(largestDifference(intervened.logits.toFloat32(), same.intervened.logits.toFloat32())).toBeGreaterThan(1e-3);
    expect(largestDifference(intervened.logits.toFloat32(), original!.logits.toFloat32())).toBeGreaterThan(1e-3);
  });
});

describe("a constant source as wide as a head", () => {
  const vector = randomVector(8, 12, 2);
  const adding: RepresentationConfig = { ...heads("h"), interventionType: "addition", sourceRepresentation: vector };
  const expected = (touched: (position: number, head: number) => boolean) =>
    flat(
      base.flatMap((ids) =>
        plainForward(plain, ids, (layer, name, rows) => {
          if (layer !== 1 || name !== "attention_value_output") return;
          for (const [position, row] of rows.entries()) {
            for (const i of row.keys()) if (touched(position, Math.floor(i / 8))) row[i]! += vector[i % 8]!;
          }
        }),
      ),
    );

  test("goes to the heads that are named, or to all", async () => {
    const named = await run(adding, { base: [[[2, 3]]] });
    expect(
      largestDifference(
        named.intervened.logits.toFloat32(),
        expected((_, head) => head >= 2),
      ),
    ).toBeLessThan(1e-4);
    const all = await run(adding, null);
    expect(
      largestDifference(
        all.intervened.logits.toFloat32(),
        expected(() => true),
      ),
    ).toBeLessThan(1e-4);
    const one = await run({ ...adding, unit: "h.pos" }, { base: [[[[1]], [[4]]]] });
    expect(
      largestDifference(
        one.intervened.logits.toFloat32(),
        expected((p, head) => p === 4 && head === 1),
      ),
    ).toBeLessThan(1e-4);
  });
});

describe("refused", () => {
  test.each<[string, RepresentationConfig, unknown]>([
    ["a position of the base alone, when there is a source to read", vanilla, { base: 3 }],
    ["a position beyond the row", vanilla, { base: 6 }],
    ["a position before it", vanilla, { base: -7 }],
    ["a fraction", vanilla, { base: 1.5 }],
    ["NaN", vanilla, { base: Number.NaN }],
    ["a fraction in a list", vanilla, { base: [0, 1.5, 2] }],
    ["text", vanilla, { base: "3" }],
    ["text in a list", vanilla, { base: [[["3"]]] }],
    ["null in a list", vanilla, { base: [[[null]]] }],
    ["true", vanilla, { base: true }],
    ["an object", vanilla, { base: { 0: 3 } }],
    ["undefined", vanilla, { base: undefined }],
    ["an empty list", vanilla, { base: [] }],
    ["an empty row", vanilla, { base: [[[]]] }],
    ["no rows", vanilla, { base: [[]] }],
    ["three rows for two", vanilla, { base: [[[0], [1], [2]]] }],
    ["two interventions' worth for one", vanilla, { base: [[[0]], [[1]]] }],
    ["nesting that never ends", vanilla, { base: [[[[[0]]]]] }],
    ["another name", vanilla, { target: 3 }],
    ["no name", vanilla, {}],
    ["a list for an object", vanilla, [3]],
    ["a number for an object", vanilla, 3],
    ["text for an object", vanilla, "base"],
    ["two source positions for one", vanilla, { "sources->base": [[[[0, 1]]], [[[2]]]] }],
    ["all of the source for one position", vanilla, { "sources->base": [null, 3] }],
    ["a source position beyond the source", vanilla, { "sources->base": [6, 0] }],
    ["a head that is not there", heads("h"), { "sources->base": [[[[4]]], [[[4]]]] }],
    ["two source heads for one", heads("h"), { "sources->base": [[[[0, 1]]], [[[2]]]] }],
    ["a flat list for heads and positions", heads("h.pos"), { "sources->base": [0, 1, 2] }],
    ["one of heads and positions", heads("h.pos"), { base: [[[[0]]]] }],
    ["a number for heads", heads("h.pos"), { base: [[0, [1.5]]] }],
  ])("%s", async (_, representation, locations) => {
    await expect(run(representation, locations)).rejects.toMatchObject({ code: "locations-invalid" });
  });

  test("generate says the same, before any token", async () => {
    const iv = new IntervenableModel({ representations: { ...vanilla, interventionType: "zero" } }, model);
    for (const unitLocations of [{ base: "x" }, { base: 6 }, { elsewhere: 1 }] as unknown as UnitLocations[]) {
      await expect(iv.generate(base[0]!, { unitLocations })).rejects.toMatchObject({ code: "locations-invalid" });
    }
    const reading = new IntervenableModel({ representations: { ...vanilla, interventionType: "collect" } }, model);
    for (const unitLocations of [{ base: 6 }, { base: -7 }]) {
      await expect(reading.generate(base[0]!, { unitLocations })).rejects.toMatchObject({ code: "locations-invalid" });
    }
    const tokens = { prompt: "all", generated: "none" } as const;
    await expect(iv.generate(base[0]!, { unitLocations: { base: 1 }, tokens })).rejects.toMatchObject({
      code: "locations-invalid",
      hint: "give one of them",
    });
    const generated = iv.generate(base[0]!, { unitLocations: { base: 3 }, interveneOnPrompt: false });
    await expect(generated).rejects.toMatchObject({
      code: "locations-invalid",
      hint: expect.stringContaining("interveneOnPrompt"),
    });
  });
});
