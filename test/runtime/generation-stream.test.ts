/** A generation can be awaited, iterated, both, or left: whichever way, it runs once and its errors arrive. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { VeneError } from "../../src/base/errors.ts";
import { type Generation, type GenerationPiece, GenerationStream } from "../../src/runtime/generation-stream.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { Workshop } from "../support/checkpoints.ts";
import { repository } from "../support/source-files.ts";

const finished = { text: "done" } as Generation;

/** Counts starts, steps and clean-ups of the work behind a stream. */
function counting(steps: number, fail?: Error) {
  const counts = { started: 0, made: 0, cleaned: 0 };
  async function* work(): AsyncGenerator<GenerationPiece, readonly Generation[]> {
    counts.started++;
    try {
      for (let token = 0; token < steps; token++) {
        await Promise.resolve();
        counts.made++;
        yield { row: 0, token, text: `${token}` };
      }
      if (fail !== undefined) throw fail;
      return [finished];
    } finally {
      counts.cleaned++;
    }
  }
  return { counts, stream: new GenerationStream(work, (generations) => generations[0]!) };
}

async function tokensOf(stream: AsyncIterable<GenerationPiece>): Promise<number[]> {
  const tokens: number[] = [];
  for await (const piece of stream) tokens.push(piece.token);
  return tokens;
}

describe("a stream", () => {
  test("does nothing until it is wanted", async () => {
    const { counts, stream } = counting(3);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(counts).toEqual({ started: 0, made: 0, cleaned: 0 });
    expect(await stream).toBe(finished);
  });

  test("awaited any number of times runs once", async () => {
    const { counts, stream } = counting(3);
    expect(await Promise.all([stream, stream, stream.then((result) => result.text)])).toEqual([
      finished,
      finished,
      "done",
    ]);
    expect(await stream).toBe(finished);
    expect(counts).toEqual({ started: 1, made: 3, cleaned: 1 });
  });

  test("iterated and then awaited gives pieces, then the result", async () => {
    const { counts, stream } = counting(3);
    expect(await tokensOf(stream)).toEqual([0, 1, 2]);
    expect(await stream).toBe(finished);
    expect(counts.started).toBe(1);
  });

  test("awaited while it is iterated waits for the end", async () => {
    const { counts, stream } = counting(3);
    const [tokens, result] = await Promise.all([tokensOf(stream), stream]);
    expect([tokens, result, counts.started]).toEqual([[0, 1, 2], finished, 1]);
  });

  test("breaking off stops the work and cleans up; awaiting then says so", async () => {
    const { counts, stream } = counting(100);
    for await (const { token } of stream) if (token === 1) break;
    expect(counts).toEqual({ started: 1, made: 2, cleaned: 1 });
    await expect(stream).rejects.toMatchObject({ code: "aborted" });
  });

  test("an error in the loop's body stops the work, too", async () => {
    const { counts, stream } = counting(100);
    const mine = new Error("mine");
    const loop = async () => {
      for await (const _ of stream) throw mine;
    };
    await expect(loop()).rejects.toBe(mine);
    expect(counts.cleaned).toBe(1);
  });

  test("errors reach the one who iterates and the one who awaits", async () => {
    const error = new VeneError("runtime-failed", "boom");
    const both = counting(2, error);
    await expect(tokensOf(both.stream)).rejects.toBe(error);
    await expect(both.stream).rejects.toBe(error);
    const awaited = counting(2, error);
    await expect(awaited.stream).rejects.toBe(error);
    expect(awaited.counts).toEqual({ started: 1, made: 2, cleaned: 1 });
  });

  test("an error that nobody awaits is no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listener);
    const { stream } = counting(1, new Error("boom"));
    await tokensOf(stream).catch(() => undefined);
    const broken = counting(5);
    for await (const _ of broken.stream) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
  });

  test("a second iteration is refused rather than empty", async () => {
    const { counts, stream } = counting(2);
    expect(await tokensOf(stream)).toEqual([0, 1]);
    await expect(tokensOf(stream)).rejects.toMatchObject({ code: "usage" });
    const awaited = counting(2);
    await awaited.stream;
    await expect(tokensOf(awaited.stream)).rejects.toMatchObject({ code: "usage" });
    expect(counts.started).toBe(1);
  });
});

describe("of a model", () => {
  let model: Model;
  let shop: Workshop;
  beforeAll(async () => {
    shop = await Workshop.open();
    model = await loadModel(`${repository}examples/truthful-tiny`, { cacheFolder: shop.path("cache") });
  });
  afterAll(async () => {
    await model.release();
    await shop.close();
  });
  const prompts = ["Q: Which is larger, 7 or 31? Teacher:", "Q: Which is larger, 5 or 2? A:", "Q:"];
  const wild = { maxNewTokens: 40, temperature: 30, seed: 3, eosTokenIds: [] };

  test("the pieces' texts are the result's text, several bytes a character or not", async () => {
    const stream = model.generate(prompts, wild);
    const texts = ["", "", ""];
    const tokens: number[][] = [[], [], []];
    for await (const piece of stream) {
      texts[piece.row] += piece.text;
      tokens[piece.row]!.push(piece.token);
    }
    const rows = await stream;
    expect(rows.map(({ text }) => text)).toEqual(texts);
    expect(rows.map((row) => row.tokens)).toEqual(tokens);
    expect(rows.map((row) => row.text)).toEqual(rows.map((row) => model.tokenizer!.decode(row.tokens)));
  });

  test("one prompt gives one generation, a list a list, an empty list an error", async () => {
    const one = await model.generate(prompts[0]!, { maxNewTokens: 2 });
    const [same] = await model.generate([prompts[0]!], { maxNewTokens: 2 });
    expect(same).toMatchObject({ text: one.text, tokens: one.tokens, promptTokens: one.promptTokens });
    await expect(model.generate([], {})).rejects.toMatchObject({ code: "prompt-invalid" });
  });

  test("catch and finally are a promise's", async () => {
    let ended = 0;
    const { tokens } = await model.generate(prompts[0]!, { maxNewTokens: 2 }).finally(() => ended++);
    const caught = await model.generate(prompts[0]!, { maxNewTokens: 0 }).catch((error) => (error as VeneError).code);
    expect([tokens.length, ended, caught]).toEqual([2, 1, "generation-invalid"]);
  });

  test("breaking off gives the session back", async () => {
    for await (const _ of model.generate(prompts, wild)) break;
    const { tokens } = await model.generate(prompts[0]!, { maxNewTokens: 2 });
    expect(tokens.length).toBe(2);
  });

  test("pieces come as they are made, not at the end", async () => {
    const seen: number[] = [];
    const controller = new AbortController();
    const loop = async () => {
      for await (const { token } of model.generate(prompts[0]!, { ...wild, signal: controller.signal })) {
        seen.push(token);
        if (seen.length === 5) controller.abort();
      }
    };
    await expect(loop()).rejects.toMatchObject({ code: "aborted" });
    expect(seen.length).toBe(5);
  });
});
