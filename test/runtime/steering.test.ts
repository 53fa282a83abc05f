/** Which tokens are touched and how strongly: against plain JavaScript that recomputes everything with the same edits. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { IntervenableConfig, RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import type { TokensPolicy } from "../../src/spec/tokens.ts";
import { fixture, largestDifference, rangeOf } from "../support/fixtures.ts";
import { flat } from "../support/logits.ts";
import { type Hook, type PlainLlama, plainForward, plainGreedy, readPlainLlama } from "../support/plain-llama.ts";
import { randomVector } from "../support/vectors.ts";

const folder = fixture("models", "llama");
const vector = randomVector(32, 5, 1.5);
const prompt = [1, 17, 88, 42, 5, 63];
const prompts = [prompt, [9], [71, 12, 12, 95, 0, 44, 3], [30, 31], [64, 7, 19, 50]];
const greedy = { maxNewTokens: 10, eosTokenIds: [] };

let model: Model;
let plain: PlainLlama;
beforeAll(async () => {
  model = await loadModel(folder);
  plain = await readPlainLlama(folder);
});
afterAll(() => model.release());

const adding = (more: Partial<RepresentationConfig> = {}): RepresentationConfig => ({
  layer: 1,
  component: "block_output",
  interventionType: "AdditionIntervention",
  sourceRepresentation: vector,
  ...more,
});
const steered = (...representations: RepresentationConfig[]) =>
  new IntervenableModel({ representations } satisfies IntervenableConfig, model);

/** Adds `strength` times the vector behind layer 1 at the positions that `touched` says. */
const addAt =
  (touched: (position: number) => boolean, strength = 1): Hook =>
  (layer, component, rows) => {
    if (layer !== 1 || component !== "block_output") return;
    rows.forEach((row, position) => {
      if (touched(position))
        row.forEach((_, i) => {
          row[i]! += strength * vector[i]!;
        });
    });
  };

const n = prompt.length;
const policies: readonly (readonly [string, TokensPolicy, (position: number) => boolean])[] = [
  ["nothing", { prompt: "none", generated: "none" }, () => false],
  ["everything", { prompt: "all", generated: "all" }, () => true],
  ["the prompt", { prompt: "all", generated: "none" }, (p) => p < n],
  ["what is generated", { prompt: "none", generated: "all" }, (p) => p >= n],
  ["from the last prompt token on", { prompt: "last", generated: "all" }, (p) => p >= n - 1],
  ["the last prompt token", { prompt: "last", generated: "none" }, (p) => p === n - 1],
  [
    "positions from both ends, one named twice",
    { prompt: [0, -2, 4], generated: "none" },
    (p) => p === 0 || p === n - 2,
  ],
  ["generated tokens 2 to 4", { prompt: "none", generated: { from: 2, to: 5 } }, (p) => p >= n + 2 && p < n + 5],
  ["generated tokens from 3 on", { prompt: [1], generated: { from: 3 } }, (p) => p === 1 || p >= n + 3],
  ["a range beyond the end", { prompt: "none", generated: { from: 50, to: 90 } }, () => false],
];

describe("tokens policy", () => {
  test.each(policies)("touches %s", async (_, tokens, touched) => {
    const expected = plainGreedy(plain, prompt, greedy.maxNewTokens, addAt(touched));
    expect((await steered(adding({ tokens })).generate(prompt, greedy)).tokens).toEqual(expected);
    expect((await steered(adding()).generate(prompt, { ...greedy, tokens })).tokens).toEqual(expected);
  });

  test("these policies do give different texts", async () => {
    const all = await Promise.all(
      policies.map(([, tokens]) => steered(adding()).generate(prompt, { ...greedy, tokens })),
    );
    expect(new Set(all.map(({ tokens }) => tokens.join())).size).toBeGreaterThanOrEqual(6);
  });

  test("interveneOnPrompt is pyvene's switch between two of them", async () => {
    const iv = steered(adding({ tokens: { prompt: [0], generated: "none" } }));
    const tokensOf = async (options: object) => (await iv.generate(prompt, { ...greedy, ...options })).tokens;
    expect(await tokensOf({ interveneOnPrompt: true })).toEqual(
      await tokensOf({ tokens: { prompt: "all", generated: "all" } }),
    );
    expect(await tokensOf({ interveneOnPrompt: false })).toEqual(
      await tokensOf({ tokens: { prompt: "none", generated: "all" } }),
    );
  });

  test("each intervention of several follows its own", async () => {
    const hook: Hook = (layer, component, rows) => {
      addAt((p) => p === 0)(layer, component, rows);
      if (layer !== 3 || component !== "mlp_output") return;
      for (const row of rows.slice(n)) row.fill(0);
    };
    const iv = steered(adding({ tokens: { prompt: [0], generated: "none" } }), {
      layer: 3,
      component: "mlp_output",
      interventionType: "zero",
      tokens: { prompt: "none", generated: "all" },
    });
    expect((await iv.generate(prompt, greedy)).tokens).toEqual(plainGreedy(plain, prompt, 10, hook));
  });

  test.each([[[6]], [[-7]], [[0, 99]]])("positions %p outside a prompt of six are refused", async (positions) => {
    const iv = steered(adding({ tokens: { prompt: positions, generated: "none" } }));
    await expect(iv.generate(prompt, greedy)).rejects.toMatchObject({
      code: "tokens-invalid",
      details: { length: 6, row: 0 },
    });
  });

  test("a batch in which one prompt is too short for a position names that prompt", async () => {
    const iv = steered(adding({ tokens: { prompt: [3], generated: "none" } }));
    await expect(iv.generate([prompt, [4, 5]], greedy)).rejects.toMatchObject({
      code: "tokens-invalid",
      details: { row: 1, length: 2 },
    });
  });

  test.each<[string, unknown]>([
    ["a word", "last"],
    ["an unknown word", { prompt: "everything", generated: "all" }],
    ["half a policy", { prompt: "all" }],
    ["an empty range", { prompt: "none", generated: { from: 3, to: 3 } }],
    ["a fraction", { prompt: [0.5], generated: "none" }],
    ["null", null],
    ["no positions", { prompt: [], generated: "all" }],
  ])("%s is no policy", async (_, tokens) => {
    await expect(
      steered(adding()).generate(prompt, { ...greedy, tokens: tokens as TokensPolicy }),
    ).rejects.toMatchObject({ code: "tokens-invalid" });
  });
});

const everywhere: TokensPolicy = { prompt: "all", generated: "all" };

describe("strength", () => {
  test.each([-2, -0.5, 0.25, 1, 3])("%p times the vector", async (strength) => {
    const iv = steered(adding({ tokens: everywhere }));
    const expected = plainGreedy(
      plain,
      prompt,
      10,
      addAt(() => true, strength),
    );
    expect((await iv.generate(prompt, { ...greedy, strength })).tokens).toEqual(expected);
    const { intervened } = await iv.forward({ base: [prompt], strength });
    const logits = flat(
      plainForward(
        plain,
        prompt,
        addAt(() => true, strength),
      ),
    );
    expect(largestDifference(intervened.logits.toFloat32(), logits)).toBeLessThan(1e-5 * rangeOf(logits));
  });

  test("its default is the artefact's", async () => {
    const iv = steered(adding({ tokens: everywhere, strength: { default: -1.5 } }));
    expect((await iv.generate(prompt, greedy)).tokens).toEqual(
      plainGreedy(
        plain,
        prompt,
        10,
        addAt(() => true, -1.5),
      ),
    );
  });

  test.each(["addition", "subtraction", "vanilla", "zero"])(
    "0 leaves %s's model as it is, bit for bit",
    async (kind) => {
      const source = kind === "zero" ? {} : { sourceRepresentation: vector };
      const iv = new IntervenableModel(
        {
          representations: {
            layer: 1,
            component: "block_output",
            interventionType: kind,
            ...source,
            tokens: everywhere,
          },
        },
        model,
      );
      const { original, intervened } = await iv.forward({ base: prompts, strength: 0 });
      expect(Buffer.compare(intervened.logits.bytes, original!.logits.bytes)).toBe(0);
      const plainly = await model.generate(prompts, greedy);
      const rows = await iv.generate(prompts, { ...greedy, strength: 0 });
      expect(rows.map(({ tokens }) => tokens)).toEqual(plainly.map(({ tokens }) => tokens));
    },
  );

  test("per prompt: each row of a batch is what it is alone", async () => {
    const iv = steered(adding({ tokens: { prompt: "last", generated: "all" } }));
    const strengths = [0, 0.5, 1, -2, 3];
    const rows = await iv.generate(prompts, { ...greedy, strength: strengths });
    for (const [r, strength] of strengths.entries()) {
      const alone = await iv.generate(prompts[r]!, { ...greedy, strength });
      expect([r, rows[r]!.tokens]).toEqual([r, alone.tokens]);
    }
    const plainly = await model.generate(prompts[0]!, greedy);
    expect(rows[0]!.tokens).toEqual(plainly.tokens);
    expect(rows[3]!.tokens).not.toEqual((await model.generate(prompts[3]!, greedy)).tokens);
  });

  test.each([[[1]], [[1, 2, 3]], [[1, Number.NaN, 1, 1, 1]], [Number.POSITIVE_INFINITY], [Number.NaN], [[]]])(
    "%p for five prompts is refused",
    async (strength) => {
      await expect(steered(adding()).generate(prompts, { ...greedy, strength })).rejects.toMatchObject({
        code: "generation-invalid",
      });
      await expect(steered(adding()).forward({ base: prompts, strength })).rejects.toMatchObject({
        code: "generation-invalid",
      });
    },
  );

  test.each([0, 0.8])(
    "so strong that numbers overflow is an error, not token 0 (temperature %p)",
    async (temperature) => {
      const iv = steered(adding({ tokens: everywhere }));
      await expect(iv.generate(prompt, { ...greedy, strength: 3e38, temperature })).rejects.toMatchObject({
        name: "VeneError",
      });
    },
  );
});

describe("batches", () => {
  test("a hundred and fifty rows, whose prompts are read in steps, get what each gets alone", async () => {
    const many = Array.from({ length: 150 }, (_, i) =>
      Array.from({ length: 1 + ((i * 7) % 11) }, (_, j) => (i * 13 + j * 29) % 96),
    );
    const iv = steered(adding({ tokens: { prompt: [0, -1], generated: { from: 1 } } }), {
      layer: 2,
      component: "mlp_input",
      interventionType: "collect",
      tokens: everywhere,
    });
    const options = { maxNewTokens: 5, eosTokenIds: [] };
    const rows = await iv.generate(many, options);
    for (const r of [0, 1, 31, 77, 149]) {
      const alone = await iv.generate(many[r]!, options);
      expect([r, rows[r]!.tokens]).toEqual([r, alone.tokens]);
      const [together, single] = [rows[r]!, alone].map(({ collected }) => [...collected!.values()][0]!);
      expect(together!.map(({ position }) => position)).toEqual([...single!.keys()]);
      expect(single!.length).toBe(many[r]!.length + 4);
      together!.forEach(({ values }, i) => {
        expect(largestDifference(values, single![i]!.values)).toBeLessThan(1e-4);
      });
    }
  });

  test("interventions at different places commute", async () => {
    const other: RepresentationConfig = { layer: 2, component: "attention_output", interventionType: "zero" };
    const [one, two] = [steered(adding(), other), steered(other, adding())];
    const logits = async (iv: IntervenableModel) => (await iv.forward({ base: prompts })).intervened.logits.toFloat32();
    expect(await logits(one)).toEqual(await logits(two));
    expect(largestDifference(await logits(one), await logits(steered(adding())))).toBeGreaterThan(0.01);
  });

  test("interventions at one place do not: they apply in their order", async () => {
    const zero: RepresentationConfig = { layer: 1, component: "block_output", interventionType: "zero" };
    const logits = async (iv: IntervenableModel) =>
      (await iv.forward({ base: [prompt] })).intervened.logits.toFloat32();
    const cleared: Hook = (layer, component, rows) => {
      if (layer === 1 && component === "block_output") for (const row of rows) row.fill(0);
    };
    const both: Hook = (...args) => {
      cleared(...args);
      addAt(() => true)(...args);
    };
    const expected = [cleared, both].map((hook) => flat(plainForward(plain, prompt, hook)));
    expect(largestDifference(await logits(steered(adding(), zero)), expected[0]!)).toBeLessThan(1e-4);
    expect(largestDifference(await logits(steered(zero, adding())), expected[1]!)).toBeLessThan(1e-4);
    expect(largestDifference(expected[0]!, expected[1]!)).toBeGreaterThan(0.01);
  });
});
