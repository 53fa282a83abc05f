/** Positions by name: the ends of a prompt, and the tokens that spell a text. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { findPositions } from "../../src/runtime/intervenable/named-positions.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { Tokenizer } from "../../src/runtime/tokenizer.ts";
import { fixture, largestDifference } from "../support/fixtures.ts";
import { repository } from "../support/source-files.ts";

const exampleModel = `${repository}examples/truthful-tiny`;
let model: Model;
let tokenizer: Tokenizer;
beforeAll(async () => {
  model = await loadModel(exampleModel);
  tokenizer = (await Tokenizer.open(exampleModel))!;
});
afterAll(() => model.release());

describe("findPositions", () => {
  test("the ends, and all", () => {
    const ids = [5, 6, 7];
    expect(findPositions({ at: "first" }, ids, undefined)).toEqual([0]);
    expect(findPositions({ at: "last" }, ids, undefined)).toEqual([2]);
    expect(findPositions({ at: "all" }, ids, undefined)).toEqual([0, 1, 2]);
  });

  test("tokens by the text they spell, every occurrence, in order", () => {
    const ids = tokenizer.encode("is iron a metal or is iron a gas?", false);
    const spelled = (positions: readonly number[]) => tokenizer.decode(positions.map((p) => ids[p]!));
    const found = findPositions({ tokens: ["iron"] }, ids, tokenizer);
    expect(spelled(found).replaceAll(" ", "")).toBe("ironiron");
    const two = findPositions({ tokens: ["gas", "metal"] }, ids, tokenizer);
    expect(spelled(two).replaceAll(" ", "")).toBe("gasmetal");
    expect(() => findPositions({ tokens: ["gold"] }, ids, tokenizer)).toThrow(
      expect.objectContaining({ code: "locations-invalid" }),
    );
    expect(() => findPositions({ tokens: ["iron"] }, ids, undefined)).toThrow(
      expect.objectContaining({ code: "tokenizer-missing" }),
    );
  });
});

describe("in unit locations", () => {
  const zero = { layer: 1, component: "mlp_output", interventionType: "zero" };
  const logits = async (iv: IntervenableModel, base: readonly string[], unitLocations: object) =>
    (await iv.forward({ base, unitLocations: unitLocations as never })).intervened.logits.toFloat32();

  test("a name means each row's own position", async () => {
    const iv = new IntervenableModel({ representations: [zero] }, model);
    const base = ["is iron a metal?", "is iron a gas or a metal?"];
    const lengths = base.map((text) => model.encode(text).length);
    expect(new Set(lengths).size).toBe(2);
    const named = await logits(iv, base, { base: { at: "last" } });
    const numbered = await logits(iv, base, { base: [lengths.map((length) => [length - 1])] });
    expect(named).toEqual(numbered);
    const perIntervention = await logits(iv, base, { base: [{ at: "last" }] });
    const perRow = await logits(iv, base, { base: [[{ at: "last" }, { at: "last" }]] });
    expect(perIntervention).toEqual(numbered);
    expect(perRow).toEqual(numbered);
    expect(largestDifference(await logits(iv, base, { base: { at: "first" } }), numbered)).toBeGreaterThan(1e-4);
  });

  test("two names under base are one per intervention, not pyvene's pair", async () => {
    const iv = new IntervenableModel({ representations: [zero, { ...zero, layer: 2 }] }, model);
    const base = ["is iron a metal?"];
    const last = model.encode(base[0]!).length - 1;
    const named = await logits(iv, base, { base: [{ at: "first" }, { at: "last" }] });
    expect(named).toEqual(await logits(iv, base, { base: [[[0]], [[last]]] }));
  });

  test("source and base may name different texts; generate takes names, too", async () => {
    const vanilla = { layer: 1, component: "block_output", interventionType: "vanilla" };
    const iv = new IntervenableModel({ representations: [vanilla] }, model);
    const [base, source] = ["is iron a metal?", "is water a metal?"];
    const position = (text: string, word: string) => findPositions({ tokens: [word] }, model.encode(text), tokenizer);
    const [to, from] = [position(base!, "iron"), position(source!, "water")];
    expect(from.length).toBe(to.length);
    const sources = [source!];
    const named = { "sources->base": [{ tokens: ["water"] }, { tokens: ["iron"] }] };
    const numbered = { "sources->base": [[[[...from]]], [[[...to]]]] };
    const run = (unitLocations: object) => iv.forward({ base: base!, sources, unitLocations: unitLocations as never });
    expect((await run(named)).intervened.logits.toFloat32()).toEqual(
      (await run(numbered)).intervened.logits.toFloat32(),
    );
    const options = { sources, maxNewTokens: 4, eosTokenIds: [] };
    const steered = await iv.generate(base!, { ...options, unitLocations: named as never });
    expect(steered.tokens).toEqual((await iv.generate(base!, { ...options, unitLocations: numbered as never })).tokens);
  });

  test.each([{ at: "middle" }, { tokens: [] }, { tokens: [""] }, { at: "last", tokens: ["a"] }, {}])(
    "%j is no name",
    async (value) => {
      const iv = new IntervenableModel({ representations: [zero] }, model);
      await expect(logits(iv, ["is iron a metal?"], { base: value })).rejects.toMatchObject({
        code: "locations-invalid",
      });
    },
  );

  test("heads are numbered", async () => {
    const llama = await loadModel(fixture("models", "llama"));
    const heads = { layer: 1, component: "head_value_output", unit: "h", interventionType: "zero" } as const;
    const iv = new IntervenableModel({ representations: [heads] }, llama);
    const named = iv.forward({ base: [[1, 2, 3]], unitLocations: { base: { at: "last" } } });
    await expect(named).rejects.toMatchObject({ code: "locations-invalid" });
    await llama.release();
  });
});
