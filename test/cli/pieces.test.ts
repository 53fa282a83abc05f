import { describe, expect, test } from "@jest/globals";
import type { CommandContext } from "../../src/cli/io.ts";
import { countValue, locationsValue, numberValue } from "../../src/cli/option-values.ts";
import { Progress } from "../../src/cli/progress.ts";
import { harmless, harmlessLine } from "../../src/cli/style.ts";
import { renderFacts, renderTable, shortNumber } from "../../src/cli/table.ts";
import { ESC } from "./terminal.ts";

describe("tables", () => {
  test("align by what characters take on a screen", () => {
    const columns = [{ title: "word" }, { title: "n", align: "right" as const }];
    const rows = [
      ["日本", "1"],
      ["e\u0301", "22"],
      ["", "333"],
    ];
    expect(renderTable(columns, rows)).toBe("word    n\n日本    1\ne\u0301      22\n      333\n");
  });

  test("show control characters of what they are given, and keep rows on one line", () => {
    expect(renderTable([{ title: "a" }], [[`x${ESC}[2Jy\nz`]])).toBe("a\nx\\x1b[2Jy\\nz\n");
    expect(
      renderFacts([
        ["one", "1"],
        ["longer", "a\tb"],
        ["none", undefined],
        ["empty", ""],
      ]),
    ).toBe("one:    1\nlonger: a\\tb\n");
  });

  test("numbers have six digits", () => {
    expect([0, 1, 38.07230736, 1e-9, 123456789].map(shortNumber)).toEqual(["0", "1", "38.0723", "1e-9", "123457000"]);
  });
});

test("control characters and direction marks become visible, text stays", () => {
  expect(harmless(`a${ESC}[31m\u009b\u0007\u202eb\n\tç日🎉`)).toBe("a\\x1b[31m\\x9b\\x07\\u202eb\n\tç日🎉");
  expect(harmlessLine("a\nb")).toBe("a\\nb");
});

describe("option values", () => {
  test("numbers", () => {
    expect(["1", "-1.5", "1e-3", "0"].map(numberValue)).toEqual([1, -1.5, 0.001, 0]);
    for (const text of ["", " ", "x", "1x", "NaN", "Infinity", "1e999"])
      expect(() => numberValue(text)).toThrow("number");
    expect(countValue("12")).toBe(12);
    for (const text of ["0", "-1", "1.5", "1e3", "x", "", "99999999999999999999"]) {
      expect(() => countValue(text)).toThrow("whole number");
    }
  });

  test("unit locations are objects of nested numbers", () => {
    const good = ['{"base": 3}', '{"sources->base": [4, 4]}', '{"base": [[[3, 4]], null]}', "{}"];
    expect(good.map(locationsValue)).toEqual(good.map((text) => JSON.parse(text)));
    const deep = `{"base": ${"[".repeat(5000)}${"]".repeat(5000)}}`;
    const bad = [
      "",
      "3",
      "null",
      "[1]",
      "{base: 3}",
      '{"base": "3"}',
      '{"base": {"a": 1}}',
      '{"base": [[true]]}',
      deep,
    ];
    for (const text of bad) expect(() => locationsValue(text)).toThrow("JSON object");
  });
});

describe("progress", () => {
  function setUp(setting: Partial<CommandContext> = {}) {
    const seen = { text: "", now: 0 };
    const write = (text: string) => {
      seen.text += text;
    };
    const stderr = { isTerminal: true, write };
    const progress = new Progress({ stderr, quiet: false, ...setting } as CommandContext, () => seen.now);
    const report = (now: number, done: number, phase = "converting") => {
      seen.now = now;
      progress.report({ phase, done, total: 200e6, unit: "bytes" });
    };
    return { seen, progress, report };
  }

  test("shows a phase after one second, then ten times a second at most, and goes away", () => {
    const { seen, progress, report } = setUp();
    report(0, 1e6);
    report(999, 50e6);
    expect(seen.text).toBe("");
    report(1001, 100e6);
    report(1050, 110e6);
    report(1102, 120e6);
    expect(seen.text).toBe(
      `\r${ESC}[2Kconverting: 100 MB of 200 MB (50 %)\r${ESC}[2Kconverting: 120 MB of 200 MB (60 %)`,
    );
    seen.text = "";
    progress.clear();
    progress.clear();
    expect(seen.text).toBe(`\r${ESC}[2K`);
  });

  test("the second counts from the start of each phase", () => {
    const { seen, report } = setUp();
    report(0, 1, "one");
    report(900, 1, "two");
    report(1500, 1, "two");
    expect(seen.text).toBe("");
    report(1901, 1, "two");
    expect(seen.text).toContain("two: 0 MB of 200 MB (0 %)");
  });

  test("work that blocks is announced at once", () => {
    const { seen, progress } = setUp();
    progress.report({ phase: "preparing a session", done: 0, unit: "items" }, true);
    expect(seen.text).toBe(`\r${ESC}[2Kpreparing a session ...`);
  });

  test.each([{ quiet: true }, { stderr: { isTerminal: false, write: () => undefined } }])("not with %j", (setting) => {
    const { seen, progress, report } = setUp(setting);
    report(0, 0);
    report(5000, 100e6);
    progress.clear();
    expect(seen.text).toBe("");
  });
});
