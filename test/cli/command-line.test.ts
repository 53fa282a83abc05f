import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { ESC, honest, repository, tiny, vene, veneJson } from "./terminal.ts";

const commands = ["generate", "inspect", "convert", "demo"];

describe("help", () => {
  test("lists the commands, examples and exit codes on stdout", async () => {
    const { code, out, err } = await vene(["--help"]);
    expect([code, err]).toEqual([0, ""]);
    for (const name of commands) expect(out).toMatch(new RegExp(`^  ${name} {2,}\\S`, "m"));
    expect(out).toContain("Examples:\n  $ vene ");
    for (const exit of [0, 1, 2, 130]) expect(out).toMatch(new RegExp(`^  ${exit} +\\S`, "m"));
    expect(out).not.toContain(ESC);
  });

  test.each(commands)("of %s has examples and the global options", async (name) => {
    const { code, out } = await vene([name, "--help"]);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: vene ${name} `);
    expect(out).toContain(`$ vene ${name}`);
    expect(out).toMatch(/Global Options:[\s\S]*--json[\s\S]*--quiet/);
    expect((await vene(["help", name])).out).toBe(out);
  });

  test("of convert has the invocation for the honest vectors of LLaMA 2", async () => {
    const { out } = await vene(["convert", "--help"]);
    expect(out).toContain("honest_llama2_chat_7B_o_proj_add_activations.bin");
    expect(out).toContain("model.layers[{layer}].self_attn.o_proj.output");
  });

  test("wraps options at 100 columns and examples at 120", async () => {
    for (const name of commands) {
      const { out } = await vene([name, "--help"]);
      for (const line of out.split("\n")) expect([line, line.length <= 120]).toEqual([line, true]);
    }
  });
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  expect(await vene(["--version"])).toMatchObject({ code: 0, out: `${version}\n`, err: "" });
});

describe("usage errors exit with 2", () => {
  const cases: readonly (readonly [string, readonly string[], string, string])[] = [
    ["an unknown command", ["generat"], "unknown command 'generat'", "did you mean generate?"],
    ["an unknown option", ["--jsno"], "unknown option '--jsno'", "did you mean --json?"],
    [
      "an unknown option of a command",
      ["generate", "--modle", "x", "hi"],
      "unknown option '--modle'",
      "did you mean --model?",
    ],
    ["one like nothing", ["generate", "--zzzzzz"], "unknown option '--zzzzzz'", "see vene generate --help"],
    ["a missing argument", ["inspect"], "missing required argument 'source'", "see vene inspect --help"],
    [
      "one argument too many",
      ["demo", "x"],
      "too many arguments for 'demo'. Expected 0 arguments but got 1.",
      "see vene demo --help",
    ],
    ["no model", ["generate", "hi"], "--model is missing", "name the folder or the Hub id of a model"],
    ["no command", [], "no command was given", "vene demo is a good first one"],
  ];
  test.each(cases)("%s", async (_, argv, message, hint) => {
    const { code, out, err } = await vene(argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err.endsWith(`error[usage]: ${message}\nhint: ${hint}\n`)).toBe(true);
  });

  test("and under --json print one object, too", async () => {
    const { code, json, err } = await veneJson(["generate", "--modle", "x"]);
    expect(code).toBe(2);
    expect(err).toContain("error[usage]: unknown option '--modle'\n");
    expect(json).toEqual({
      error: { code: "usage", message: "unknown option '--modle'", hint: "did you mean --model?", details: {} },
    });
  });

  test("a --json behind -- is a prompt", async () => {
    const { out } = await vene(["generate", "--zzz", "--", "--json"]);
    expect(out).toBe("");
  });
});

describe("failures exit with 1", () => {
  test("code, message and hint on stderr, details in --json", async () => {
    const { code, json, err } = await veneJson(["inspect", "/no/such/path"]);
    expect(code).toBe(1);
    expect(err).toMatch(/^error\[file-missing\]: there is no \/no\/such\/path\nhint: .+\n$/);
    expect(json.error).toMatchObject({ code: "file-missing", details: { path: "/no/such/path" } });
    expect(json.error.hint).toEqual(expect.any(String));
  });

  test("what is no VeneError is reported as a fault of vene, the stack only when asked", async () => {
    const broken = {
      onEvent: () => {
        throw new TypeError("boom");
      },
    };
    const quiet = await vene(["inspect", tiny], broken);
    expect(quiet.code).toBe(1);
    expect(quiet.err).toContain("error[internal]: TypeError: boom\n");
    expect(quiet.err).not.toContain("    at ");
    expect((await vene(["inspect", tiny], { ...broken, env: { VENE_DEBUG: "1" } })).err).toContain("    at ");
  });
});

describe("colours", () => {
  const failing = ["inspect", "/no/such/path"];
  test("are for terminals", async () => {
    expect((await vene(failing, { stderrIsTerminal: true })).err).toContain(`${ESC}[31merror[file-missing]`);
    expect((await vene(failing)).err).not.toContain(ESC);
  });

  test.each([{ NO_COLOR: "1" }, { TERM: "dumb" }])("and not where %j", async (env) => {
    expect((await vene(failing, { stderrIsTerminal: true, env })).err).not.toContain(ESC);
  });

  test("nothing piped has any, whatever the command", async () => {
    const prompt = "Q: Is 69 even or odd? A:";
    const runs = [
      ["demo"],
      ["inspect", tiny],
      ["inspect", honest],
      ["generate", "--model", tiny, "--intervention", honest, "--max-new-tokens", "3", prompt],
    ];
    for (const argv of runs) {
      const { code, out, err } = await vene(argv);
      expect([code, (out + err).includes(ESC)]).toEqual([0, false]);
    }
  });
});
