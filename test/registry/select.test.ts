import { describe, expect, test } from "@jest/globals";
import { IndexFile } from "../../src/registry/index-file.ts";
import { type NameReference, parseReference } from "../../src/registry/reference.ts";
import { type BaseFilter, select } from "../../src/registry/select.ts";
import type { IndexLine } from "../../src/spec/registry-index.ts";

const base = { model: "org/tiny", architecture: "llama", layers: 6, hiddenSize: 128 };

function line(version: string, changes: Partial<IndexLine> = {}): IndexLine {
  const digest = `sha256:${version.replace(/\D/g, "").padStart(64, "0")}`;
  return {
    v: 1,
    name: "lab/calm",
    version,
    digest,
    size: 10,
    kinds: ["addition"],
    base,
    components: ["block_output"],
    license: "mit",
    summary: "",
    tags: [],
    bytes: 1,
    sources: [{ type: "blob" }],
    published: "2026-11-23T06:00:00Z",
    deprecated: null,
    yanked: null,
    ...changes,
  };
}

const yanked = { at: "2026-11-23T06:00:00Z", reason: "sings", severity: "broken" } as const;

/** Published out of order, some of them withdrawn, one for another model. */
const lines = [
  line("1.0.0"),
  line("1.2.0", { deprecated: "use 2" }),
  line("1.1.0"),
  line("1.3.0", { yanked }),
  line("2.0.0-beta.1"),
  line("2.0.0", { base: { ...base, layers: 12 } }),
  line("2.1.0-rc.1"),
  line("3.0.0", { yanked }),
];

function indexOf(all: readonly IndexLine[]): IndexFile {
  return new IndexFile("lab/calm", all.map((one) => `${JSON.stringify(one)}\n`).join(""));
}

function choose(selector: string, aliases: Record<string, string> = {}, filter: BaseFilter = {}) {
  const reference = parseReference(`lab/calm${selector}`) as NameReference;
  const { line: chosen, notices } = select(indexOf(lines), aliases, reference.selector, filter);
  return [chosen.version, ...notices];
}

const aliases = { latest: "1.2.0", stable: "1.1.0", bad: "1.3.0", gone: "9.9.9" };
const old = "lab/calm@1.2.0 is deprecated: use 2";

describe("selectors", () => {
  test.each([
    ["", {}, ["2.0.0"]],
    ["", aliases, ["1.2.0", old]],
    ["@latest", aliases, ["1.2.0", old]],
    ["@stable", aliases, ["1.1.0"]],
    ["@^1", aliases, ["1.2.0", old]],
    ["@1", {}, ["1.2.0", old]],
    ["@~1.1", {}, ["1.1.0"]],
    ["@<1.2", {}, ["1.1.0"]],
    ["@*", {}, ["2.0.0"]],
    [">=2", {}, undefined],
    ["@>=2.0.0-a <2.0.0", {}, ["2.0.0-beta.1"]],
    ["@^2.1.0-rc", {}, ["2.1.0-rc.1"]],
    ["@2.1.0-rc.1", {}, ["2.1.0-rc.1"]],
    ["@1.3.0", {}, ["1.3.0", "lab/calm@1.3.0 was withdrawn: sings (broken)"]],
    [`@sha256:${"110".padStart(64, "0")}`, {}, ["1.1.0"]],
  ] as const)("lab/calm%s", (selector, known, expected) => {
    if (expected === undefined) expect(() => choose(selector, known)).toThrow();
    else expect(choose(selector, known)).toEqual(expected);
  });

  test.each([
    ["@4", {}, "registry-missing", /has no version in 4$/],
    ["@1.0.1", {}, "registry-missing", /has no version 1\.0\.1$/],
    ["@^2.1", {}, "registry-missing", /has no version in/],
    ["@nightly", aliases, "registry-missing", /has no alias nightly \(there are latest, stable, bad, gone\)$/],
    ["@toString", {}, "registry-usage", /names no intervention/],
    ["@constructor", {}, "registry-missing", /has no alias constructor$/],
    [`@sha256:${"f".repeat(64)}`, {}, "registry-missing", /has no release sha256:f/],
    ["@>=3", {}, "registry-yanked", /every version of lab\/calm that would do was withdrawn: sings \(broken\)$/],
    ["@bad", aliases, "registry-yanked", /^lab\/calm@bad is 1\.3\.0, which was withdrawn: sings/],
    ["@gone", aliases, "registry-invalid", /^lab\/calm@gone is 9\.9\.9, which the registry does not have$/],
    ["", { latest: "3.0.0" }, "registry-yanked", /^lab\/calm@latest is 3\.0\.0/],
  ] as const)("lab/calm%s fails", (selector, known, code, message) => {
    expect(() => choose(selector, known)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe("bases", () => {
  test("what fits or is not known passes", () => {
    expect(choose("@1.0.0", {}, { architecture: "llama", layers: 6, hiddenSize: 128 })).toEqual(["1.0.0"]);
    expect(choose("@1.0.0", {}, { architecture: null })).toEqual(["1.0.0"]);
  });

  test("what does not fit is an error that lists what would, and nothing else is taken", () => {
    expect(() => choose("", {}, { layers: 6 })).toThrow(
      expect.objectContaining({
        code: "registry-mismatch",
        message: "lab/calm@2.0.0 is for layers 12, not 6 (org/tiny)",
        hint: "these versions fit: 2.1.0-rc.1, 2.0.0-beta.1, 1.2.0, 1.1.0, 1.0.0",
      }),
    );
    expect(() => choose("@^1", {}, { architecture: "gpt2" })).toThrow(
      expect.objectContaining({ code: "registry-mismatch", hint: "no version of it fits this model" }),
    );
  });
});

describe("the index file", () => {
  test("changes one line and keeps the bytes of the others", () => {
    const text = lines.map((one) => `${JSON.stringify({ ...one, extra: 1 })}\n`).join("");
    const index = new IndexFile("lab/calm", text);
    index.set({ ...index.line("1.0.0")!, deprecated: "old" });
    const [first, ...others] = index.text.split("\n");
    expect(JSON.parse(first!)).toEqual({ ...lines[0], deprecated: "old", extra: 1 });
    expect(others.join("\n")).toBe(text.slice(text.indexOf("\n") + 1));
  });

  test("reads lines whose keys are in another order", () => {
    const { v, ...rest } = line("1.0.0");
    const index = new IndexFile("lab/calm", `${JSON.stringify({ ...rest, v })}\n`);
    expect(index.line("1.0.0")).toEqual(line("1.0.0"));
  });
});
