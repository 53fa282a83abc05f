/** The tokens policy on a command line. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  checkTokensPolicy,
  formatTokensPolicy,
  parseTokensPolicy,
  pyveneDefaultTokens,
  type TokensPolicy,
} from "../../src/spec/tokens.ts";

const policies: fc.Arbitrary<TokensPolicy> = fc.record({
  prompt: fc.oneof(
    fc.constantFrom("none" as const, "all" as const, "last" as const),
    fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 6 }),
  ),
  generated: fc.oneof(
    fc.constantFrom("none" as const, "all" as const),
    fc.nat(1000).map((from) => ({ from })),
    fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 50 })).map(([from, more]) => ({ from, to: from + more })),
  ),
});

describe("parseTokensPolicy", () => {
  test.each<[string, TokensPolicy]>([
    ["generated", { prompt: "none", generated: "all" }],
    ["all", { prompt: "all", generated: "all" }],
    ["prompt", { prompt: "all", generated: "none" }],
    ["last", { prompt: "last", generated: "all" }],
    ["prompt=0,3,-1;generated=2..5", { prompt: [0, 3, -1], generated: { from: 2, to: 5 } }],
    [" generated = 2.. ; prompt = last ", { prompt: "last", generated: { from: 2 } }],
    ["prompt=last", { prompt: "last", generated: "none" }],
    ["generated=all", { prompt: "none", generated: "all" }],
    ['{"prompt":[1],"generated":"none"}', { prompt: [1], generated: "none" }],
  ])("%s", (text, policy) => {
    expect(parseTokensPolicy(text)).toEqual(policy);
  });

  test("reads back what formatTokensPolicy wrote, and its own JSON", () => {
    fc.assert(
      fc.property(policies, (policy) => {
        expect(parseTokensPolicy(formatTokensPolicy(policy))).toEqual(policy);
        expect(parseTokensPolicy(JSON.stringify(policy))).toEqual(policy);
      }),
    );
  });

  test("the words are shortest for the common policies", () => {
    expect(formatTokensPolicy(pyveneDefaultTokens)).toBe("generated");
    expect(formatTokensPolicy({ prompt: "last", generated: "all" })).toBe("last");
    expect(formatTokensPolicy({ prompt: "none", generated: "none" })).toBe("prompt=none;generated=none");
  });

  test.each([
    "",
    "everything",
    "__proto__",
    "prompt=some;generated=all",
    "prompt=;generated=all",
    "prompt=all;prompt=none",
    "prompt=1.5",
    "prompt=99999999999",
    "generated=5..2",
    "generated=3..3",
    "generated=-1..2",
    "{",
    "{}",
    '{"prompt":"all","generated":"all","also":1}',
    '{"prompt":[],"generated":"all"}',
  ])("%j is refused", (text) => {
    expect(() => parseTokensPolicy(text)).toThrow(expect.objectContaining({ code: "tokens-invalid" }));
  });

  test("any text is a policy or a tokens-invalid", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          checkTokensPolicy(parseTokensPolicy(text));
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: "tokens-invalid" });
        }
      }),
    );
  });
});
