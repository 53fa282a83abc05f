/** docs/models.md has every family, under the title that the code gives it. */
import { expect, test } from "@jest/globals";
import { families } from "../../src/arch/families.ts";
import { readRepositoryFile } from "../support/source-files.ts";

test("the table of docs/models.md is the table of the code", () => {
  const listed = [...readRepositoryFile("docs/models.md").matchAll(/^\| `(\w+)` \| (.+) \|$/gm)];
  const rows = listed.map(([, name, title]) => [name, title]).filter(([name]) => !/^(fp32|q8|q4)$/.test(name!));
  expect(rows).toEqual(Object.entries(families).map(([name, { title }]) => [name, title]));
});
