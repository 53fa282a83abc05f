/** Strict JSON against JSON.parse, and everything it refuses that JSON.parse lets through. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type JsonValue, parseJson } from "../../src/formats/json.ts";

function refusal(text: string | Uint8Array, options = {}): unknown {
  try {
    parseJson(text, options);
  } catch (thrown) {
    return thrown;
  }
  throw new Error(`accepted ${String(text).slice(0, 80)}`);
}

const invalid = { code: "json-invalid" };

test("agrees with JSON.parse on whatever JSON.stringify writes, pretty or not", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 8 }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      if (/\\ud[89a-f]/i.test(text)) return;
      expect(parseJson(text)).toEqual(JSON.parse(text));
      expect(parseJson(new TextEncoder().encode(text))).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test("agrees with JSON.parse on whether damaged texts are JSON", () => {
  const pieces = fc.array(fc.constantFrom(...'{}[]:,"\\ntrue1.-+eE0 \t/a'), { maxLength: 12 });
  fc.assert(
    fc.property(pieces, (characters) => {
      const text = characters.join("");
      // Where the two differ on purpose: numbers beyond a double, keys named twice.
      if (/e\+?\d{3}/i.test(text) || text.split('":').length > 2) return;
      let expected: { value: unknown } | undefined;
      try {
        expected = { value: JSON.parse(text) };
      } catch {}
      if (expected === undefined) expect(refusal(text)).toMatchObject(invalid);
      else expect(parseJson(text)).toEqual(expected.value);
    }),
    { numRuns: 3000 },
  );
});

describe("refuses", () => {
  test.each([
    ["a key named twice", '{"a":1,"b":{"a":1},"a":2}'],
    ["a key named twice through an escape", '{"a":1,"\\u0061":2}'],
    ["NaN", "[NaN]"],
    ["Infinity", "[-Infinity]"],
    ["a number beyond a double", "[1e999]"],
    ["a leading zero", "[01]"],
    ["a bare point", "[1.]"],
    ["a trailing comma", "[1,]"],
    ["a comment", "[1] // one"],
    ["single quotes", "{'a':1}"],
    ["a raw line break in a string", '["a\nb"]'],
    ["an unknown escape", '["\\x41"]'],
    ["half a surrogate pair, escaped", '["\\ud800"]'],
    ["half a surrogate pair, raw", '["\ud800"]'],
    ["a byte order mark", "\ufeff{}"],
    ["nothing", ""],
    ["space", " \n"],
    ["two values", "1 2"],
    ["an open string", '["abc'],
    ["an open escape", '["abc\\'],
    ["an open object", '{"a":1'],
    ["an unquoted key", "{a:1}"],
    ["a missing colon", '{"a" 1}'],
    ["a literal in capitals", "True"],
    ["a cut literal", "tru"],
  ])("%s", (_, text) => {
    expect(refusal(text)).toMatchObject(invalid);
  });

  test("bytes that are not UTF-8, or begin with a byte order mark", () => {
    expect(refusal(Uint8Array.of(0x22, 0xff, 0x22))).toMatchObject(invalid);
    expect(refusal(Uint8Array.of(0xed, 0xa0, 0x80))).toMatchObject(invalid);
    expect(refusal(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d))).toMatchObject(invalid);
  });

  test("more depth or values than allowed, however deep, without overflowing the stack", () => {
    expect(parseJson("[".repeat(64) + "]".repeat(64))).toHaveLength(1);
    expect(refusal("[".repeat(65) + "]".repeat(65))).toMatchObject(invalid);
    expect(refusal("[".repeat(1_000_000))).toMatchObject(invalid);
    expect(refusal('{"a":'.repeat(1_000_000))).toMatchObject(invalid);
    expect(parseJson("[[]]", { maxDepth: 2 })).toEqual([[]]);
    expect(refusal("[[]]", { maxDepth: 1 })).toMatchObject(invalid);
    expect(parseJson("[1,2,3]", { maxValues: 4 })).toEqual([1, 2, 3]);
    expect(refusal("[1,2,3]", { maxValues: 3 })).toMatchObject(invalid);
  });
});

test("names the file, the line and the column", () => {
  const thrown = refusal('{\n  "a": 1,\n  "a": 2\n}', { name: "config.json" });
  expect(thrown).toMatchObject({
    code: "json-invalid",
    message: 'config.json, line 3, column 3: the key "a" appears twice',
    details: { line: 3, column: 3 },
  });
});

test("dangerous keys are data", () => {
  const text = '{"__proto__":{"polluted":true},"constructor":1,"toString":2}';
  const parsed = parseJson(text) as { [key: string]: JsonValue };
  expect(Object.getPrototypeOf(parsed)).toBeNull();
  expect(Object.keys(parsed)).toEqual(["__proto__", "constructor", "toString"]);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect((parseJson("{}") as { [key: string]: JsonValue })["toString"]).toBeUndefined();
});

test("numbers keep their value, beyond 2^53 as doubles", () => {
  expect(parseJson("[0,-0,1.5e-7,1000000000000000019884624838656,-12]")).toEqual([0, -0, 1.5e-7, 1e30, -12]);
});
