/** Options that nobody knows are refused by name, with what was probably meant. */
import { expect, test } from "@jest/globals";
import { checkKeys } from "../../src/base/known-keys.ts";

const known = ["maxNewTokens", "topP"];

test.each<[string, unknown, object]>([
  [
    "snake_case",
    { max_new_tokens: 3 },
    { message: 'options has no option "max_new_tokens"', hint: "it is called maxNewTokens" },
  ],
  ["other capitals", { topp: 1 }, { hint: "it is called topP" }],
  ["nothing alike", { beams: 4 }, { hint: "there are maxNewTokens, topP" }],
  ["null", null, { message: "options is null, expected an object" }],
  ["a number", 5, { message: "options is 5, expected an object" }],
])("%s", (_, given, expected) => {
  expect(() => checkKeys("options", given, known, "generation-invalid")).toThrow(
    expect.objectContaining({ code: "generation-invalid", ...expected }),
  );
});

test("known ones pass", () => {
  expect(() => checkKeys("options", { topP: undefined }, known, "usage")).not.toThrow();
});
