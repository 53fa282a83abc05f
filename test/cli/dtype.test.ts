/** --dtype and --perplexity. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { loadModel, perplexity } from "../../src/index.ts";
import { honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

const folder = scratch();
const text = join(folder, "text.txt");
writeFileSync(text, "is the sky blue? yes. is fire cold? no. is ice cold? yes. is a bird a fish? no.");

test("generate --dtype q4 answers plainly and steered, and says its dtype", async () => {
  const prompt = ["--max-new-tokens", "4", "is the sky blue?"];
  const { code, json } = await veneJson([
    "generate",
    "--model",
    tiny,
    "--intervention",
    honest,
    "--dtype",
    "q4",
    ...prompt,
  ]);
  expect([code, json.model.dtype]).toEqual([0, "q4"]);
  expect([json.plain.tokens.length, json.steered.tokens.length]).toEqual([4, 4]);
});

describe("inspect --perplexity", () => {
  test("says it at every dtype, as the library computes it, beside what the model is", async () => {
    const { code, json } = await veneJson(["inspect", tiny, "--perplexity", text]);
    expect([code, json.is, json.name]).toEqual([0, "model", "truthful-tiny"]);
    const model = await loadModel(tiny);
    const words = "is the sky blue? yes. is fire cold? no. is ice cold? yes. is a bird a fish? no.";
    const expected = await perplexity(model, words);
    await model.release();
    expect(json.perplexity.map(({ dtype }: { dtype: string }) => dtype)).toEqual(["fp32", "q8", "q4"]);
    expect(json.perplexity[0]).toEqual({ dtype: "fp32", ...expected });
    for (const { perplexity: found, scored } of json.perplexity) {
      expect(scored).toBe(expected.scored);
      expect(found / expected.perplexity).toBeGreaterThan(0.5);
      expect(found / expected.perplexity).toBeLessThan(2);
    }
  });

  test("at one dtype, as a table for people", async () => {
    const { out } = await vene(["inspect", tiny, "--perplexity", text, "--dtype", "q8"]);
    expect(out).toMatch(/^model: +truthful-tiny$/m);
    expect(out).toMatch(
      /^\d+ tokens predicted, in windows of \d+ that move by \d+\ndtype +perplexity +of the first\n/m,
    );
    expect(out).toMatch(/^q8 +\d+\.\d{3} +100\.0 %\n$/m);
    expect(out).not.toContain("fp32");
  });

  test.each<[string, string[], string]>([
    ["a dtype that is none", ["inspect", tiny, "--perplexity", text, "--dtype", "int4"], "fp32, q8, q4"],
    ["a dtype for nothing", ["inspect", tiny, "--dtype", "q4"], "--dtype needs --perplexity"],
    ["an intervention", ["inspect", honest, "--perplexity", text], "--perplexity needs a model"],
    ["no file", ["inspect", tiny, "--perplexity", join(folder, "none.txt")], "there is no file"],
    ["a folder", ["inspect", tiny, "--perplexity", folder], "is no file of at most"],
    ["generating at a dtype that is none", ["generate", "--model", tiny, "--dtype", "fp16", "Hi"], "fp32, q8, q4"],
  ])("refuses %s", async (_, argv, message) => {
    const { code, err } = await vene(argv);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test("refuses what is no text, by name", async () => {
    const bytes = join(folder, "bytes.txt");
    writeFileSync(bytes, new Uint8Array([0x61, 0xff, 0xfe]));
    expect((await vene(["inspect", tiny, "--perplexity", bytes])).err).toContain("is not UTF-8 text");
    const empty = join(folder, "empty.txt");
    writeFileSync(empty, "");
    const { json } = await veneJson(["inspect", tiny, "--perplexity", empty]);
    expect(json.error.code).toBe("prompt-invalid");
  });
});
