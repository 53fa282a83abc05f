/** What ends a generation, what it is refused for, and that neither seeds nor mates leak from row to row. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { GenerateOptions } from "../../src/runtime/generation-stream.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { repository } from "../support/source-files.ts";

let tiny: Model;
let llama: Model;
let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
  tiny = await loadModel(`${repository}examples/truthful-tiny`, { cacheFolder: shop.path("cache") });
  llama = await loadModel(fixture("models", "llama"));
});
afterAll(async () => {
  await Promise.all([tiny.release(), llama.release(), shop.close()]);
});

const question = "Q: Which is larger, 7 or 31? Teacher:";
const prompt = [1, 17, 88, 42, 5];

describe("the end", () => {
  test("an end token is counted and not shown", async () => {
    const { text, tokens, finishReason } = await tiny.generate(question);
    expect([text, finishReason, tokens.at(-1)]).toEqual([" 31.", "eos", 2]);
    const on = await tiny.generate(question, { eosTokenIds: [], maxNewTokens: tokens.length + 3 });
    expect([on.finishReason, on.tokens.length, on.tokens.slice(0, tokens.length)]).toEqual([
      "length",
      tokens.length + 3,
      tokens,
    ]);
  });

  test("a list of end tokens, and generation_config.json before config.json", async () => {
    const free = await llama.generate(prompt, { maxNewTokens: 12, eosTokenIds: [] });
    const [third, sixth] = [free.tokens[2]!, free.tokens[5]!];
    const either = await llama.generate(prompt, { maxNewTokens: 12, eosTokenIds: [sixth, third] });
    expect(either.tokens).toEqual(
      free.tokens.slice(0, 1 + free.tokens.findIndex((id) => id === third || id === sixth)),
    );
    const folder = await shop.checkpoint({
      config: { eos_token_id: 95 },
      files: { "generation_config.json": JSON.stringify({ eos_token_id: [94, third] }) },
    });
    const model = await loadModel(folder);
    expect(model.eosTokenIds).toEqual([94, third]);
    const { finishReason, tokens } = await model.generate(prompt, { maxNewTokens: 12 });
    expect([finishReason, tokens]).toEqual(["eos", free.tokens.slice(0, 1 + free.tokens.indexOf(third))]);
    await model.release();
  });

  test("maxNewTokens, exactly", async () => {
    for (const maxNewTokens of [1, 2, 17]) {
      const { tokens, finishReason } = await llama.generate(prompt, { maxNewTokens, eosTokenIds: [] });
      expect([tokens.length, finishReason]).toEqual([maxNewTokens, "length"]);
    }
  });

  test("the model's context: what is left of it is used, and not a token more", async () => {
    const { tokens, finishReason } = await llama.generate(prompt, { maxNewTokens: 10_000, eosTokenIds: [] });
    expect([tokens.length, finishReason]).toEqual([64 - prompt.length, "length"]);
    const full = new Array<number>(63).fill(5);
    expect((await llama.generate(full, { maxNewTokens: 9, eosTokenIds: [] })).tokens.length).toBe(1);
  });

  test.each([64, 65, 1000])("a prompt of %i tokens in a context of 64 leaves no room", async (length) => {
    await expect(llama.generate(new Array(length).fill(5))).rejects.toMatchObject({
      code: "context-length",
      details: { promptTokens: length, contextLength: 64 },
    });
  });

  test("a stop string ends the row that has it, mid-token or across tokens", async () => {
    const whole = await tiny.generate(question);
    for (const [stop, text] of [
      ["31", " "],
      [" 31", ""],
      [".", " 31"],
      ["1.", " 3"],
      ["nowhere", " 31."],
    ] as const) {
      const row = await tiny.generate(question, { stop: [stop] });
      expect([stop, row.text, row.finishReason]).toEqual([stop, text, stop === "nowhere" ? "eos" : "stop"]);
      expect(whole.tokens.slice(0, row.tokens.length)).toEqual(row.tokens);
    }
    const rows = await tiny.generate([question, "Q: Which is larger, 5 or 2? Teacher:"], { stop: ["31"] });
    expect(rows.map(({ finishReason }) => finishReason)).toEqual(["stop", "eos"]);
  });
});

describe("refused", () => {
  test.each<[string, GenerateOptions]>([
    ["no tokens", { maxNewTokens: 0 }],
    ["half a token", { maxNewTokens: 1.5 }],
    ["NaN tokens", { maxNewTokens: Number.NaN }],
    ["endless tokens", { maxNewTokens: Number.POSITIVE_INFINITY }],
    ["tokens in words", { maxNewTokens: "five" as unknown as number }],
    ["a negative temperature", { temperature: -1 }],
    ["a topP of 0", { temperature: 1, topP: 0 }],
    ["a stop that is no list", { stop: "." as unknown as string[] }],
    ["stops that are no texts", { stop: [3 as unknown as string] }],
    ["end tokens that are no list", { eosTokenIds: 2 as unknown as number[] }],
  ])("%s", async (_, options) => {
    await expect(tiny.generate(question, options)).rejects.toMatchObject({ code: "generation-invalid" });
  });

  test("stop strings without a tokenizer", async () => {
    await expect(llama.generate(prompt, { stop: ["x"] })).rejects.toMatchObject({ code: "tokenizer-missing" });
  });

  test.each<[string, unknown, string]>([
    ["text without a tokenizer", "hello", "tokenizer-missing"],
    ["an id beyond the vocabulary", [1, 96], "prompt-invalid"],
    ["a negative id", [-1], "prompt-invalid"],
    ["half an id", [1.5], "prompt-invalid"],
    ["NaN", [Number.NaN], "prompt-invalid"],
    ["no ids", [], "prompt-invalid"],
    ["an empty row among others", [[1, 2], []], "prompt-invalid"],
    ["ids and text mixed", [1, "two"], "prompt-invalid"],
    ["a number among prompts", [[1, 2], 3], "prompt-invalid"],
    ["a message without content", [{ role: "user" }], "prompt-invalid"],
    ["an object", { role: "user", content: "hi" }, "prompt-invalid"],
    ["a number", 5, "prompt-invalid"],
    ["null", null, "prompt-invalid"],
    ["undefined", undefined, "prompt-invalid"],
  ])("%s", async (_, input, code) => {
    const generate = async () => llama.generate(input as number[]);
    await expect(generate()).rejects.toMatchObject({ code });
  });

  test("an empty text where the tokenizer adds nothing to it, and not where it adds a token", async () => {
    expect((await tiny.generate("", { maxNewTokens: 1 })).promptTokens).toEqual([1]);
  });
});

describe("aborting", () => {
  test("before it starts, and between tokens", async () => {
    await expect(llama.generate(prompt, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    const controller = new AbortController();
    let made = 0;
    const loop = async () => {
      for await (const _ of llama.generate(prompt, { maxNewTokens: 50, eosTokenIds: [], signal: controller.signal })) {
        if (++made === 3) controller.abort(new Error("enough"));
      }
    };
    await expect(loop()).rejects.toMatchObject({
      code: "aborted",
      cause: expect.objectContaining({ message: "enough" }),
    });
    expect(made).toBe(3);
    expect((await llama.generate(prompt, { maxNewTokens: 2, eosTokenIds: [] })).tokens.length).toBe(2);
  });

  test("an awaited generation by a timer", async () => {
    const work = tiny.generate([question, "Q:"], {
      maxNewTokens: 120,
      eosTokenIds: [],
      signal: AbortSignal.timeout(5),
    });
    await expect(work).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("seeds and mates", () => {
  const sampling = { temperature: 1.5, maxNewTokens: 15, eosTokenIds: [] };

  test("the same seed gives the same tokens, another one others", async () => {
    const tokens = async (seed: number) => (await llama.generate(prompt, { ...sampling, seed })).tokens;
    expect(await tokens(1)).toEqual(await tokens(1));
    expect(await tokens(1)).not.toEqual(await tokens(2));
  });

  test("a row's tokens do not depend on who else is in the batch, nor on its place there", async () => {
    const rows = [[9], prompt, [71, 12, 12, 95, 0, 44, 3]];
    const options = { ...sampling, seed: 4, repetitionPenalty: 1.3, topP: 0.9 };
    const together = await llama.generate(rows, options);
    const reversed = await llama.generate([...rows].reverse(), options);
    for (const [r, row] of rows.entries()) {
      const alone = await llama.generate(row, options);
      expect(together[r]!.tokens).toEqual(alone.tokens);
      expect(reversed[rows.length - 1 - r]!.tokens).toEqual(alone.tokens);
    }
  });

  test("temperature 0 is greedy", async () => {
    const greedy = await llama.generate(prompt, { maxNewTokens: 10, eosTokenIds: [] });
    const cold = await llama.generate(prompt, { maxNewTokens: 10, eosTokenIds: [], temperature: 0, seed: 9, topK: 5 });
    expect(cold.tokens).toEqual(greedy.tokens);
  });

  test("a repetition penalty keeps a greedy answer from repeating itself", async () => {
    const distinct = async (repetitionPenalty: number) =>
      new Set((await llama.generate(prompt, { maxNewTokens: 30, eosTokenIds: [], repetitionPenalty })).tokens).size;
    expect(await distinct(5)).toBeGreaterThan(await distinct(1));
  });
});

test("timings are told and make sense", async () => {
  const start = performance.now();
  const { timings } = await llama.generate(prompt, { maxNewTokens: 10, eosTokenIds: [] });
  expect(timings.promptMs).toBeGreaterThan(0);
  expect(timings.decodeMs).toBeGreaterThan(0);
  expect(timings.promptMs + timings.decodeMs).toBeLessThan(performance.now() - start);
});

test("an enormous context in the config and an enormous wish do not allocate what nobody fills", async () => {
  const model = await loadModel(await shop.checkpoint({ config: { max_position_embeddings: 2 ** 31 - 1 } }));
  const work = async () => {
    const tokens: number[] = [];
    for await (const piece of model.generate(prompt, { maxNewTokens: 2 ** 31 - 100, eosTokenIds: [] })) {
      tokens.push(piece.token);
      if (tokens.length === 3) break;
    }
    return tokens;
  };
  const outcome = await work().catch((error: unknown) => error);
  // Three tokens, or a refusal with a code: not a RangeError of the engine.
  if (!Array.isArray(outcome)) expect(outcome).toMatchObject({ name: "VeneError" });
  await model.release();
});
