import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { IntervenableModel, loadModel, type Model } from "../../src/index.ts";
import { fixture } from "../support/fixtures.ts";
import { ESC, honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

const prompt = "Q: Which is larger, 27 or 7? A:";
const steer = ["generate", "--model", tiny, "--intervention", honest, "--max-new-tokens", "8"];
const plain = ["generate", "--model", tiny, "--max-new-tokens", "8"];

let model: Model;
let iv: IntervenableModel;
beforeAll(async () => {
  model = await loadModel(tiny, { cacheFolder: scratch() });
  iv = await IntervenableModel.load(honest, model);
  await iv.warmUp();
});
afterAll(() => model.release());

describe("text", () => {
  test("plain and steered come one after the other under headings", async () => {
    const { code, out, err } = await vene([...steer, prompt]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toBe("plain\n 7.\n\nsteered (honest)\n 27.\n");
  });

  test("one answer comes alone", async () => {
    expect((await vene([...plain, prompt])).out).toBe(" 7.\n");
    expect((await vene([...steer, "--plain-only", prompt])).out).toBe(" 7.\n");
    expect((await vene([...steer, "--steered-only", prompt])).out).toBe(" 27.\n");
  });

  test("is written as it comes", async () => {
    const writes: number[] = [];
    const begun = performance.now();
    await vene([...plain, prompt], {
      onEvent: (event) => void (event === "stdout" && writes.push(performance.now() - begun)),
    });
    expect(writes.length).toBeGreaterThanOrEqual(3);
  });

  test("headings are bold on terminals", async () => {
    const { out } = await vene([...steer, prompt], { stdoutIsTerminal: true });
    expect(out).toBe(`${ESC}[1mplain${ESC}[22m\n 7.\n\n${ESC}[1msteered (honest)${ESC}[22m\n 27.\n`);
  });
});

describe("--json", () => {
  test("is one object with both answers, as the library gives them", async () => {
    const { code, json } = await veneJson([...steer, prompt]);
    expect(code).toBe(0);
    const expected = {
      plain: await model.generate(prompt, { maxNewTokens: 8 }),
      steered: await iv.generate(prompt, { maxNewTokens: 8 }),
    };
    for (const side of ["plain", "steered"] as const) {
      const { text, tokens, finishReason } = expected[side];
      expect(json[side]).toEqual({ text, tokens, finishReason });
      expect(json.timings[side]).toEqual({
        promptMs: expect.any(Number),
        decodeMs: expect.any(Number),
        tokensPerSecond: expect.any(Number),
      });
    }
    expect(json.promptTokens).toEqual(model.encode(prompt));
    expect(json.model).toEqual({
      name: "truthful-tiny",
      revision: null,
      architecture: "llama",
      dtype: "fp32",
      folder: tiny,
    });
    expect(json.intervention).toEqual({ name: "honest", source: honest, pinned: null, notices: [] });
    expect(json.timings.load).toBeGreaterThan(0);
    expect(Object.keys(json).sort()).toEqual(["intervention", "model", "plain", "promptTokens", "steered", "timings"]);
  });

  test("has null for what was not asked for", async () => {
    const { json } = await veneJson([...plain, "--max-new-tokens", "1", prompt]);
    expect(json).toMatchObject({ intervention: null, steered: null, timings: { steered: null } });
    expect(json.plain).toMatchObject({ tokens: [expect.any(Number)], finishReason: "length" });
    expect(json.timings.plain.tokensPerSecond).toBeNull();
  });
});

describe("the prompt", () => {
  test.each([[[]], [["-"]]])("is read from stdin with arguments %j, one newline off its end", async (argument) => {
    for (const stdin of [prompt, `${prompt}\n`, `${prompt}\r\n`, new TextEncoder().encode(prompt)]) {
      const { json } = await veneJson([...plain, ...argument], { stdin });
      expect(json.promptTokens).toEqual(model.encode(prompt));
    }
  });

  test("keeps a second newline, and one that is an argument", async () => {
    const text = `${prompt}\n`;
    expect((await veneJson([...plain], { stdin: `${text}\n` })).json.promptTokens).toEqual(model.encode(text));
    expect((await veneJson([...plain, text])).json.promptTokens).toEqual(model.encode(text));
  });

  const bad: readonly (readonly [string, string | Uint8Array | undefined, string])[] = [
    ["absent", undefined, "there is no prompt"],
    ["not UTF-8", new Uint8Array([0x51, 0xff]), "stdin is not UTF-8 text"],
    ["endless", new Uint8Array((16 << 20) + 1), "stdin has more than the 16777216 bytes a prompt may have"],
  ];
  test.each(bad)("is refused when %s", async (_, stdin, message) => {
    const { code, out, err } = await vene(plain, stdin === undefined ? {} : { stdin });
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(`error[usage]: ${message}\n`);
  });

  test("needs a tokenizer", async () => {
    const { code, err } = await vene(["generate", "--model", fixture("models", "llama"), "hello"]);
    expect(code).toBe(1);
    expect(err).toContain("error[tokenizer-missing]");
  });
});

describe("--chat", () => {
  const folder = scratch();
  beforeAll(() => {
    cpSync(tiny, folder, { recursive: true });
    const path = join(folder, "tokenizer_config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    config.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}A:";
    writeFileSync(path, JSON.stringify(config));
  });
  const chat = ["generate", "--model", folder, "--max-new-tokens", "2", "--chat"];

  test("wraps the prompt as a user's message, behind the system's", async () => {
    const decoded = async (argv: readonly string[]) =>
      model.tokenizer!.decode((await veneJson(argv)).json.promptTokens);
    const user = "Is 69 even or odd?";
    const asked = model.tokenizer!.decode(model.tokenizer!.encode(`user: ${user} A:`, false));
    const told = model.tokenizer!.decode(model.tokenizer!.encode(`system: odd user: ${user} A:`, false));
    expect(await decoded([...chat, user])).toBe(asked);
    expect(await decoded([...chat, "--system", "odd", user])).toBe(told);
  });

  test("needs a template, and --system needs --chat", async () => {
    const without = await vene([...plain, "--chat", "hi"]);
    expect([without.code, without.err]).toEqual([1, expect.stringContaining("error[chat-template]")]);
    const system = await vene([...plain, "--system", "odd", "hi"]);
    expect([system.code, system.err]).toEqual([2, expect.stringContaining("error[usage]: --system needs --chat\n")]);
  });
});

describe("what is touched", () => {
  const tokensOf = async (...options: string[]) => (await veneJson([...steer, ...options, prompt])).json.steered.tokens;

  test("--strength 0 changes nothing, and the artefact's own policy is the default", async () => {
    const { json } = await veneJson([...steer, "--strength", "0", prompt]);
    expect(json.steered.tokens).toEqual(json.plain.tokens);
    expect(await tokensOf("--tokens", "prompt=last;generated=none")).toEqual(await tokensOf());
  });

  test("--tokens, --intervene-on-prompt and --unit-locations reach the library", async () => {
    const cases = [
      [["--tokens", "all"], { tokens: { prompt: "all", generated: "all" } }],
      [["--tokens", "generated"], { tokens: { prompt: "none", generated: "all" } }],
      [["--intervene-on-prompt"], { interveneOnPrompt: true }],
      [["--unit-locations", '{"base": 3}'], { unitLocations: { base: 3 } }],
      [
        ["--unit-locations", '{"base": 3}', "--intervene-on-prompt"],
        { unitLocations: { base: 3 }, interveneOnPrompt: true },
      ],
      [["--strength", "-1.5"], { strength: -1.5 }],
    ] as const;
    const found: unknown[] = [];
    for (const [options, meant] of cases) {
      const { tokens } = await iv.generate(prompt, { maxNewTokens: 8, ...meant });
      expect(await tokensOf(...options)).toEqual(tokens);
      found.push(tokens);
    }
    expect(new Set(found.map((tokens) => JSON.stringify(tokens))).size).toBeGreaterThan(1);
  });

  test("--source gives run-time sources: one for all, or one per group", async () => {
    const folder = join(scratch(), "patch");
    const at = (layer: number) => ({ layer, component: "block_output", interventionType: "vanilla" });
    const patch = new IntervenableModel({ representations: [at(2), at(4)], name: "patch" }, model);
    await patch.save(folder);
    const sources = ["Q: Which is larger, 5 or 31? A:", "Q: Which is larger, 27 or 9? Teacher:"];
    const unitLocations = {
      "sources->base": [
        [[[-1]], [[-1]]],
        [[[-1]], [[-1]]],
      ],
    };
    const argv = ["generate", "--model", tiny, "--intervention", folder, "--max-new-tokens", "4"];
    const located = [...argv, "--unit-locations", JSON.stringify(unitLocations)];
    for (const used of [sources.slice(0, 1), sources]) {
      const expected = await patch.generate(prompt, { maxNewTokens: 4, sources: used, unitLocations });
      const { json } = await veneJson([...located, ...used.flatMap((source) => ["--source", source]), prompt]);
      expect(json.steered.tokens).toEqual(expected.tokens);
      expect(json.steered.tokens).not.toEqual(json.plain.tokens);
    }
    for (const [options, code] of [
      [[], "sources-invalid"],
      [["--source", "a", "--source", "b", "--source", "c"], "sources-invalid"],
    ] as const) {
      expect((await vene([...located, ...options, prompt])).err).toContain(`error[${code}]`);
    }
  });

  test("options that need an intervention say so", async () => {
    for (const option of [
      ["--tokens", "all"],
      ["--intervene-on-prompt"],
      ["--source", "x"],
      ["--strength", "2"],
      ["--steered-only"],
      ["--unit-locations", "{}"],
    ]) {
      const { code, err } = await vene([...plain, ...option, prompt]);
      expect([code, err]).toEqual([2, expect.stringContaining(`error[usage]: ${option[0]} needs --intervention\n`)]);
    }
  });

  test("options that exclude each other say so", async () => {
    for (const pair of [
      ["--tokens", "all", "--intervene-on-prompt"],
      ["--tokens", "all", "--unit-locations", '{"base": 1}'],
      ["--plain-only", "--steered-only"],
    ]) {
      const { code, err } = await vene([...steer, ...pair, prompt]);
      expect([code, err]).toEqual([2, expect.stringMatching(/error\[usage\]: .* cannot be used with option/)]);
    }
  });

  test.each([
    [["--tokens", "some"], 1, "tokens-invalid"],
    [["--unit-locations", '{"base": 99}'], 1, "locations-invalid"],
    [["--unit-locations", '{"elsewhere": 1}'], 1, "locations-invalid"],
    [["--unit-locations", "[1]"], 2, "usage"],
    [["--strength", "much"], 2, "usage"],
    [["--intervention", "/no/such/folder"], 1, "file-missing"],
    [["--intervention", tiny], 1, "artefact-missing"],
    [["--model", "/no/such/folder"], 1, "file-missing"],
    [["--threads", "0"], 2, "usage"],
    [["--max-new-tokens", "0"], 2, "usage"],
    [["--temperature", "-1"], 1, "generation-invalid"],
    [["--temperature", "1", "--top-p", "2"], 1, "generation-invalid"],
  ])("%j is refused with %i", async (options, code, error) => {
    const outcome = await vene([...steer, ...options, "--steered-only", prompt]);
    expect([outcome.code, outcome.out]).toEqual([code, ""]);
    expect(outcome.err).toContain(`error[${error}]`);
  });
});

describe("sampling", () => {
  test("the same seed gives the same tokens, another one others", async () => {
    const sampled = async (seed: string) =>
      (await veneJson([...plain, "--temperature", "3", "--top-k", "50", "--seed", seed, prompt])).json.plain.tokens;
    const first = await sampled("1");
    expect(await sampled("1")).toEqual(first);
    const others = await Promise.all(["2", "3", "4"].map(sampled));
    expect(others.some((tokens) => JSON.stringify(tokens) !== JSON.stringify(first))).toBe(true);
  });

  test("--stop ends before the text", async () => {
    const { json } = await veneJson([...plain, "--stop", ".", prompt]);
    expect(json.plain).toMatchObject({ text: " 7", finishReason: "stop" });
  });

  test("--top-p without --temperature is pointed out", async () => {
    const { code, err } = await vene([...plain, "--top-p", "0.9", "--seed", "1", prompt]);
    expect([code, err]).toEqual([
      0,
      expect.stringContaining("notice: --top-p, --seed changes nothing without --temperature"),
    ]);
  });
});

describe("notices", () => {
  test("a strength outside the range, and a source that nobody takes, are pointed out on stderr unless --quiet", async () => {
    const argv = [...steer, "--strength", "9", "--source", "x", prompt];
    const { code, err } = await vene(argv);
    expect(code).toBe(0);
    expect(err).toContain("notice: strength 9 is outside the range 0 to 2 that honest was made for\n");
    expect(err).toContain("notice: --source is not used: no intervention takes its value from a source\n");
    expect((await vene([...argv, "--quiet"])).err).toBe("");
    expect((await veneJson([...argv, "--quiet"])).json.intervention.notices).toHaveLength(2);
  });

  test("what loading notices is among them", async () => {
    const { code, err } = await vene([
      ...["generate", "--model", tiny, "--max-new-tokens", "1"],
      ...["--intervention", fixture("cases", "llama", "generate_zero_mlp", "saved"), prompt],
    ]);
    expect(code).toBe(0);
    expect(err).toContain("notice: pyvene records no base model");
  });
});

describe("Ctrl-C", () => {
  test("stops between tokens with 130, on a line of its own", async () => {
    const { code, out, err } = await vene([...steer, prompt], {
      onEvent: (event, controller) => void (event === "stdout" && controller.abort()),
    });
    expect([code, err]).toEqual([130, "error[aborted]: interrupted\n"]);
    expect(out).toMatch(/^plain\n[^\n]*\n$/);
  });

  test("under --json gives one object", async () => {
    const { code, json } = await veneJson([...steer, prompt], {
      onEvent: (event, controller) => void (event === "hold" && controller.abort()),
    });
    expect([code, json.error.code]).toEqual([130, "aborted"]);
  });

  test("while weights are converted leaves nothing in the cache", async () => {
    const folder = scratch();
    const { code, interrupts } = await vene([...plain, prompt], {
      env: { VENE_CACHE: folder },
      onEvent: (event, controller) => void (event === "hold" && controller.abort()),
    });
    expect(code).toBe(130);
    expect(readdirSync(folder, { recursive: true }).filter((name) => String(name).includes("safetensors"))).toEqual([]);
    expect(interrupts[0]).toBe("hold");
  });

  test("is left to the system while native code runs, and at the end", async () => {
    const { interrupts } = await vene([...steer, prompt]);
    // Converting holds; the session and each prompt let go; tokens hold.
    const phases = interrupts.filter((event, i) => event !== interrupts[i - 1]);
    expect(phases).toEqual(["hold", "letGo", "hold", "letGo", "hold", "letGo"]);
  });
});

test("what a model says cannot drive a terminal, but reaches a file as it is", async () => {
  const folder = scratch();
  cpSync(tiny, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  // The token of "." becomes one that would clear the screen; byte-level vocabularies write the byte 1b as U+011B.
  const text = readFileSync(path, "utf8");
  const hostile = text.replace(/("\."\s*:\s*\d+)/, (entry) => entry.replace('"."', JSON.stringify("\u011b[2J")));
  expect(hostile).not.toBe(text);
  writeFileSync(path, hostile);
  const argv = ["generate", "--model", folder, "--max-new-tokens", "3", prompt];
  const onTerminal = await vene(argv, { stdoutIsTerminal: true });
  expect(onTerminal.out).toContain("\\x1b[2J");
  expect(onTerminal.out).not.toContain(ESC);
  expect((await vene(argv)).out).toContain(`${ESC}[2J`);
});
