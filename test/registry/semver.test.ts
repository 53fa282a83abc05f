import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compareVersions, isPrerelease, parseRange, satisfies } from "../../src/registry/semver.ts";
import { versionSchema } from "../../src/spec/registry-names.ts";

const small = fc.integer({ min: 0, max: 3 });
const identifier = fc.oneof(small.map(String), fc.constantFrom("alpha", "beta", "rc-1", "x"));
const pre = fc.array(identifier, { maxLength: 2 }).map((parts) => (parts.length === 0 ? "" : `-${parts.join(".")}`));
const version = fc.tuple(small, small, small, pre).map(([a, b, c, p]) => `${a}.${b}.${c}${p}`);

describe("versions", () => {
  test("are ordered as semver.org has them", () => {
    const ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"];
    ordered.push("1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0");
    expect([...ordered].reverse().sort(compareVersions)).toEqual(ordered);
  });

  test("have one total order", () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(versionSchema.safeParse(a).success).toBe(true);
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
        expect(compareVersions(a, b) === 0).toBe(a === b);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test.each([
    "1",
    "1.2",
    "01.0.0",
    "1.0.0-01",
    "1.0.0+build",
    "v1.0.0",
    "1.0.0-",
    "1.0.0-a..b",
    " 1.0.0",
    "1.0.0\n",
    "9999999999.0.0",
  ])("%j is none", (text) => expect(versionSchema.safeParse(text).success).toBe(false));
});

describe("ranges", () => {
  // By npm's semver 7.
  test.each([
    ["^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "2.0.0-a", "1.3.0-a"]],
    ["^1.2.3-beta.2", ["1.2.3-beta.2", "1.2.3-rc", "1.2.3", "1.4.0"], ["1.2.3-beta.1", "1.2.4-beta.3", "2.0.0-0"]],
    ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2", "1.0.0"]],
    ["^0.0.3", ["0.0.3"], ["0.0.4", "0.1.0"]],
    ["^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]],
    ["^0", ["0.0.1", "0.9.0"], ["1.0.0"]],
    ["~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]],
    ["~1", ["1.0.0", "1.9.0"], ["2.0.0"]],
    ["1.x", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]],
    ["1.2.*", ["1.2.0"], ["1.3.0"]],
    ["*", ["0.0.0", "9.9.9"], ["1.0.0-a"]],
    [">=1 <2", ["1.0.0", "1.9.9"], ["2.0.0", "2.0.0-a", "0.9.9"]],
    [">1", ["2.0.0"], ["1.9.9", "1.0.0"]],
    ["> 1.2", ["1.3.0"], ["1.2.9"]],
    ["<=1.2", ["1.2.9", "0.1.0"], ["1.3.0"]],
    ["<1.2", ["1.1.9"], ["1.2.0", "1.2.0-a"]],
    ["=1.2.3", ["1.2.3"], ["1.2.4"]],
    ["1", ["1.0.0", "1.9.0"], ["2.0.0"]],
    [">=1.0.0-a <1.0.0", ["1.0.0-a", "1.0.0-b"], ["1.0.0", "0.9.0-b"]],
    ["<0", [], ["0.0.0", "0.0.0-a"]],
  ])("%s", (text, within, without) => {
    const range = parseRange(text)!;
    expect(within.filter((one) => !satisfies(one, range))).toEqual([]);
    expect(without.filter((one) => satisfies(one, range))).toEqual([]);
  });

  test.each([
    "",
    "latest",
    "1..2",
    "1.x.2",
    "^",
    ">=",
    "1.2.3.4",
    "^1.2-a",
    "1 || 2",
    "1 - 2",
    "^1.2 x y",
    "1 ".repeat(20),
  ])("%j is none", (text) => expect(parseRange(text)).toBeUndefined());

  test("hold what their parts promise", () => {
    fc.assert(
      fc.property(version, version, (base, other) => {
        const order = compareVersions(other, base);
        const stable = !isPrerelease(other);
        expect(satisfies(base, parseRange(`^${base}`)!)).toBe(true);
        expect(satisfies(base, parseRange(`=${base}`)!)).toBe(true);
        if (stable) {
          expect(satisfies(other, parseRange(`>=${base}`)!)).toBe(order >= 0);
          expect(satisfies(other, parseRange(`<${base}`)!)).toBe(order < 0);
          const tilde = !base.startsWith("0.") && satisfies(other, parseRange(`~${base}`)!);
          if (tilde) expect(satisfies(other, parseRange(`^${base}`)!)).toBe(true);
          if (satisfies(other, parseRange(`^${base}`)!)) expect(order).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 2000, seed: 2 },
    );
  });

  test("never fail on any text", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[\^~<>=x*0-9. -]{0,30}$/));
    fc.assert(
      fc.property(texts, (text) => void parseRange(text)),
      { numRuns: 2000, seed: 3 },
    );
  });
});
