/** Sources: run on their own, one for all or one per group, in parallel or in series; refused when they do not fit. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { argmax } from "../../src/runtime/sampling.ts";
import { fixture, largestDifference } from "../support/fixtures.ts";
import { flat } from "../support/logits.ts";
import { type Hook, type PlainLlama, plainForward, readPlainLlama } from "../support/plain-llama.ts";
import { randomVector } from "../support/vectors.ts";

let model: Model;
let plain: PlainLlama;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
  plain = await readPlainLlama(fixture("models", "llama"));
});
afterAll(() => model.release());

const base = [1, 17, 88, 42, 5, 63];
const [first, second] = [
  [70, 71, 72, 73, 74, 75],
  [20, 30, 40, 50, 60, 90],
] as const;
const at = (
  layer: number,
  interventionType = "vanilla",
  more: Partial<RepresentationConfig> = {},
): RepresentationConfig => ({ layer, component: "block_output", interventionType, ...more });
const bound = (mode: "parallel" | "serial", ...representations: RepresentationConfig[]) =>
  new IntervenableModel({ representations, mode }, model);

/** Rows of a layer's output while `hook` acts. */
function outputs(ids: readonly number[], layer: number, hook: Hook = () => undefined): Float64Array[] {
  const taken: Float64Array[] = [];
  plainForward(plain, ids, (l, component, rows) => {
    hook(l, component, rows);
    if (l === layer && component === "block_output") taken.push(...rows.map((row) => row.slice()));
  });
  return taken;
}

const put =
  (layer: number, rows: readonly Float64Array[], moves: readonly (readonly [from: number, to: number])[]): Hook =>
  (l, component, target) => {
    if (l !== layer || component !== "block_output") return;
    for (const [from, to] of moves) target[to]!.set(rows[from]!);
  };
const chain =
  (...hooks: readonly Hook[]): Hook =>
  (...args) => {
    for (const hook of hooks) hook(...args);
  };

const expectLogits = (found: Tensor, hook: Hook) =>
  expect(largestDifference(found.toFloat32(), flat(plainForward(plain, base, hook)))).toBeLessThan(1e-4);

describe("parallel", () => {
  const locations = {
    "sources->base": [
      [[[1]], [[2]]],
      [[[4]], [[5]]],
    ],
  };

  test("each intervention reads its own source, unedited", async () => {
    const { intervened } = await bound("parallel", at(0), at(2)).forward({
      base: [base],
      sources: [[...first], [...second]],
      unitLocations: locations,
    });
    expectLogits(intervened.logits, chain(put(0, outputs(first, 0), [[1, 4]]), put(2, outputs(second, 2), [[2, 5]])));
  });

  test("one source serves all, null leaves its intervention out", async () => {
    const iv = bound("parallel", at(0), at(2));
    const one = await iv.forward({ base: [base], sources: [[...first]], unitLocations: locations });
    expectLogits(
      one.intervened.logits,
      chain(put(0, outputs(first, 0), [[1, 4]]), put(2, outputs(first, 2), [[2, 5]])),
    );
    const skipped = await iv.forward({ base: [base], sources: [null, [...second]], unitLocations: locations });
    expectLogits(skipped.intervened.logits, put(2, outputs(second, 2), [[2, 5]]));
  });

  test("a source of one row serves every row of the base; tensors and masks are sources, too", async () => {
    const iv = bound("parallel", at(1));
    const unitLocations = { "sources->base": [2, 3] };
    const rows = [base, [...second]];
    const reference = await iv.forward({ base: rows, sources: [[[...first], [...first]]], unitLocations });
    const forms = [
      [[...first]],
      Tensor.int64([1, 6], [...first]),
      { inputIds: [[0, ...first]], attentionMask: [[0, 1, 1, 1, 1, 1, 1]] },
    ];
    for (const form of forms) {
      const { intervened } = await iv.forward({ base: rows, sources: [form], unitLocations });
      expect(largestDifference(intervened.logits.toFloat32(), reference.intervened.logits.toFloat32())).toBeLessThan(
        1e-5,
      );
    }
  });

  test("two at one place read the source before either edits it", async () => {
    const vector = randomVector(32, 3);
    const iv = bound("parallel", at(1), at(1, "addition", { sourceRepresentation: vector }));
    const { intervened } = await iv.forward({
      base: [base],
      sources: [[...first], null],
      unitLocations: { "sources->base": [2, 3] },
    });
    const adding: Hook = (layer, component, rows) => {
      if (layer === 1 && component === "block_output")
        rows[3]!.forEach((_, i) => {
          rows[3]![i]! += vector[i]!;
        });
    };
    expectLogits(intervened.logits, chain(put(1, outputs(first, 1), [[2, 3]]), adding));
  });

  test("groups share a source, and are ordered by their keys", async () => {
    const iv = bound(
      "parallel",
      at(0, "vanilla", { groupKey: 1 }),
      at(1, "vanilla", { groupKey: 0 }),
      at(2, "vanilla", { groupKey: 1 }),
    );
    const unitLocations = {
      "sources->base": [
        [[[0]], [[1]], [[2]]],
        [[[0]], [[1]], [[2]]],
      ],
    };
    const { intervened } = await iv.forward({ base: [base], sources: [[...second], [...first]], unitLocations });
    expectLogits(
      intervened.logits,
      chain(
        put(0, outputs(first, 0), [[0, 0]]),
        put(1, outputs(second, 1), [[1, 1]]),
        put(2, outputs(first, 2), [[2, 2]]),
      ),
    );
  });
});

describe("serial", () => {
  const unitLocations = { "source_0->source_1": [[[[1]]], [[[2]]]], "source_1->base": [[[[2]]], [[[5]]]] };
  const hook = () => put(2, outputs(second, 2, put(0, outputs(first, 0), [[1, 2]])), [[2, 5]]);
  const sources = [[...first], [...second]];

  test("each source is edited by what was read from the one before", async () => {
    const { intervened } = await bound("serial", at(0), at(2)).forward({ base: [base], sources, unitLocations });
    expectLogits(intervened.logits, hook());
  });

  test("generates with the same locations", async () => {
    const iv = bound("serial", at(0), at(2));
    const { tokens } = await iv.generate(base, { maxNewTokens: 1, eosTokenIds: [], sources, unitLocations });
    expect(tokens).toEqual([argmax(Float32Array.from(plainForward(plain, base, hook()).at(-1)!))]);
  });

  test("collects on the base what its last group asks for, and refuses to collect on the way", async () => {
    const group = (groupKey: number) => ({ groupKey });
    const iv = bound("serial", at(0, "vanilla", group(0)), at(2, "vanilla", group(1)), at(3, "collect", group(1)));
    const locations = {
      ...unitLocations,
      "source_1->base": [
        [[[2]], [[4]]],
        [[[5]], [[4]]],
      ],
    };
    const { collected } = await iv.forward({ base: [base], sources, unitLocations: locations });
    const expected = outputs(base, 3, hook())[4]!;
    expect(collected.map(({ shape }) => shape)).toEqual([[1, 1, 32]]);
    expect(largestDifference(collected[0]!.toFloat32(), Float32Array.from(expected))).toBeLessThan(1e-4);
    const onTheWay = bound(
      "serial",
      at(0, "vanilla", group(0)),
      at(3, "collect", group(0)),
      at(2, "vanilla", group(1)),
    );
    await expect(onTheWay.forward({ base: [base], sources })).rejects.toMatchObject({ code: "intervention-invalid" });
  });

  test("collecting alone in serial mode is collecting", async () => {
    const [parallel, serial] = [bound("parallel", at(3, "collect")), bound("serial", at(3, "collect"))];
    expect(await serial.collect({ base: [base] })).toEqual(await parallel.collect({ base: [base] }));
  });

  test("a leg that is not given is named, and so is a source in the middle that is missing", async () => {
    const iv = bound("serial", at(0), at(2));
    await expect(
      iv.forward({ base: [base], sources, unitLocations: { "source_0->source_1": 1 } }),
    ).rejects.toMatchObject({
      code: "locations-invalid",
      message: expect.stringContaining("source_1->base"),
    });
    await expect(iv.forward({ base: [base], sources: [[...first], null], unitLocations })).rejects.toMatchObject({
      code: "sources-invalid",
    });
  });
});

describe("refused", () => {
  const iv = () => bound("parallel", at(0), at(2));

  test.each<[string, unknown]>([
    ["none for two", undefined],
    ["an empty list", []],
    ["three for two", [first, first, first]],
    ["another number of rows", [[first, first, first]]],
  ])("%s", async (_, sources) => {
    await expect(iv().forward({ base: [base, base], sources: sources as number[][][] })).rejects.toMatchObject({
      code: "sources-invalid",
    });
  });

  test.each<[string, unknown, string]>([
    ["ids beyond the vocabulary", [[96]], "prompt-invalid"],
    ["no ids", [[]], "prompt-invalid"],
    ["a tensor of one dimension", Tensor.int64([3], [1, 2, 3]), "prompt-invalid"],
    ["a tensor without rows", Tensor.int64([0, 3], []), "prompt-invalid"],
    ["ids without rows", { inputIds: [] }, "prompt-invalid"],
    ["a mask of another shape", { inputIds: [[1, 2]], attentionMask: [[1]] }, "prompt-invalid"],
    ["a mask that leaves nothing", { inputIds: [[1, 2]], attentionMask: [[0, 0]] }, "prompt-invalid"],
    ["more than the model's context", [new Array(65).fill(3)], "context-length"],
    ["text without a tokenizer", "hello", "tokenizer-missing"],
    ["messages without a template", [{ role: "user", content: "hello" }], "chat-template"],
  ])("%s, in base and source alike", async (_, input, code) => {
    const bad = input as number[][];
    await expect(iv().forward({ base: bad, sources: [[first]] as never })).rejects.toMatchObject({ code });
    await expect(iv().forward({ base: [base], sources: [bad] })).rejects.toMatchObject({ code });
  });

  test("by generate when it is not said where they go", async () => {
    await expect(iv().generate(base, { sources: [[...first]] })).rejects.toMatchObject({
      code: "sources-invalid",
      hint: expect.stringContaining("unitLocations"),
    });
    await expect(
      iv().generate(base, { sources: [[...first]], unitLocations: { "sources->base": [9, 0] } }),
    ).rejects.toMatchObject({ code: "locations-invalid" });
    expect(iv().needsSources).toBe(true);
    expect(bound("parallel", at(0, "zero")).needsSources).toBe(false);
  });

  test("some interventions in groups and some not", async () => {
    const mixed = bound("parallel", at(0, "vanilla", { groupKey: 0 }), at(1));
    await expect(mixed.forward({ base: [base], sources: [[...first]] })).rejects.toMatchObject({
      code: "intervention-invalid",
    });
  });

  test("a constant source with rows or units that do not fit", async () => {
    const rows = (count: number) => Tensor.float32([count, 1, 32], randomVector(32 * count, 1));
    const constant = (source: Tensor) => bound("parallel", at(1, "addition", { sourceRepresentation: source }));
    await expect(constant(rows(2)).forward({ base: [base, base, base] })).rejects.toMatchObject({
      code: "sources-invalid",
    });
    const units = Tensor.float32([2, 32], randomVector(64, 1));
    await expect(constant(units).forward({ base: [base], unitLocations: { base: [0, 1, 2] } })).rejects.toMatchObject({
      code: "sources-invalid",
    });
    const { intervened } = await constant(units).forward({ base: [base], unitLocations: { base: [[[1, 4]]] } });
    expect(intervened.logits.shape).toEqual([1, 6, 96]);
  });
});
