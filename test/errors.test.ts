/** Every error code is documented, raised somewhere, and asserted by some test. */
import { describe, expect, test } from "@jest/globals";
import { errorCodes } from "../src/base/error-codes.ts";
import { codes, renderErrorDocs } from "./support/error-docs.ts";
import { expectGolden } from "./support/golden.ts";
import { sourceFiles } from "./support/source-files.ts";

/** Texts of all files of a folder but some. */
function textOf(folder: string, except: readonly string[]): string {
  return sourceFiles(folder)
    .filter(({ path }) => !except.includes(path))
    .map(({ text }) => text)
    .join("\n");
}

describe("error codes", () => {
  test("are listed with their sentences in docs/errors.md", () => {
    expectGolden("docs/errors.md", renderErrorDocs());
  });

  test("are words joined by dashes, each with one sentence", () => {
    expect(codes.filter((code) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(code))).toEqual([]);
    expect(codes.filter((code) => !/^\S.*\.$/.test(errorCodes[code]))).toEqual([]);
  });

  test("are each raised somewhere", () => {
    const source = textOf("src", ["base/error-codes.ts"]);
    expect(codes.filter((code) => !source.includes(`"${code}"`))).toEqual([]);
  });

  test("are each asserted by a test", () => {
    const tests = textOf("test", ["errors.test.ts", "support/error-docs.ts"]);
    expect(codes.filter((code) => !tests.includes(`"${code}"`))).toEqual([]);
  });

  test("are the only codes that errors are raised with", () => {
    const raised = [...textOf("src", []).matchAll(/new VeneError\(\s*"([^"]+)"/g)].map((match) => match[1]!);
    expect(raised.length).toBeGreaterThan(100);
    expect(raised.filter((code) => !Object.hasOwn(errorCodes, code))).toEqual([]);
  });
});
