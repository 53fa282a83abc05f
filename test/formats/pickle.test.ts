/** The opcode machine: what it understands, what it refuses by name, and the bounds it keeps. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { VeneError } from "../../src/base/errors.ts";
import { type Pickle, readPickle } from "../../src/formats/pickle.ts";
import { opcodeNames } from "../../src/formats/pickle-opcodes.ts";
import { concat, u16, u32 } from "./bytes.ts";

type Part = Uint8Array | string | readonly number[];

/** Protocol 2, the parts, STOP. One-character strings are the opcodes' own letters. */
function pickled(...parts: Part[]): Uint8Array {
  return concat([0x80, 2], ...parts, ".");
}

function read(bytes: Uint8Array, options = {}): Pickle {
  return readPickle(bytes, { name: "x.pkl", allows: (global) => global === "m.f", ...options });
}

function value(...parts: Part[]): unknown {
  return read(pickled(...parts)).value;
}

function expectCode(code: string, message: RegExp, bytes: Uint8Array, options = {}): void {
  expect(() => read(bytes, options)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
}

const f64 = (number: number): Uint8Array => new Uint8Array(Float64Array.of(number).buffer).reverse();
const unicode = (text: string): Uint8Array => concat("X", u32(Buffer.byteLength(text)), text);

describe("reads", () => {
  test("numbers", () => {
    expect(value("K", [200])).toBe(200);
    expect(value("M", u16(65535))).toBe(65535);
    expect(value("J", u32(0xfffffffe))).toBe(-2);
    expect(value("G", f64(-0.1))).toBe(-0.1);
    expect(value([0x8a, 0])).toBe(0);
    expect(value([0x8a, 1, 0xff])).toBe(-1);
    expect(value([0x8a, 2, 0xff, 0])).toBe(255);
    expect(value([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1])).toBe(2n ** 64n);
    expect(value([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0xff])).toBe(-(2n ** 64n));
  });

  test("strings, booleans, None", () => {
    expect(value(unicode("h\u00e9\u{1f600}"))).toBe("h\u00e9\u{1f600}");
    expect(value("U", [2], "ab")).toBe("ab");
    expect(value([0x88])).toBe(true);
    expect(value([0x89])).toBe(false);
    expect(value("N")).toBe(null);
  });

  test("containers, filled one by one or from a mark", () => {
    const one = { kind: "list", items: [1] };
    expect(value("]", "K", [1], "a")).toEqual(one);
    expect(value("]", "(", "K", [1], "K", [2], "e")).toEqual({ kind: "list", items: [1, 2] });
    expect(value("}", unicode("k"), "N", "s")).toEqual({ kind: "dict", entries: [["k", null]] });
    expect(value("}", "(", "K", [1], "N", "K", [2], "N", "u")).toEqual({
      kind: "dict",
      entries: [
        [1, null],
        [2, null],
      ],
    });
    expect(value(")")).toEqual({ kind: "tuple", items: [] });
    expect(value("(", "N", "N", "t")).toEqual({ kind: "tuple", items: [null, null] });
    expect(value("K", [1], "K", [2], "K", [3], [0x87])).toEqual({ kind: "tuple", items: [1, 2, 3] });
    expect(value("K", [1], "K", [2], [0x86])).toEqual({ kind: "tuple", items: [1, 2] });
    expect(value("K", [1], [0x85])).toEqual({ kind: "tuple", items: [1] });
    expect(value([0x8f])).toEqual({ kind: "set" });
  });

  test("the memo, short and long", () => {
    const twice = { kind: "tuple", items: ["a", "a"] };
    expect(value(unicode("a"), "q", [7], "h", [7], [0x86])).toEqual(twice);
    expect(value(unicode("a"), "r", u32(0xfffffff0), "j", u32(0xfffffff0), [0x86])).toEqual(twice);
  });

  test("calls, state and outside objects as symbols", () => {
    const call = { kind: "call", callee: "m.f", args: [1], entries: [], state: undefined };
    expect(value("cm\nf\n")).toEqual({ kind: "global", name: "m.f" });
    expect(value("cm\nf\n", "K", [1], [0x85], "R")).toEqual(call);
    expect(value("cm\nf\n", "K", [1], [0x85], [0x81])).toEqual(call);
    expect(value("cm\nf\n", ")", "R", "}", "b")).toMatchObject({ state: { kind: "dict", entries: [] } });
    expect(value("cm\nf\n", ")", "R", "K", [1], "N", "s")).toMatchObject({ entries: [[1, null]] });
    const { value: outside, persistent } = read(pickled("K", [5], "Q"));
    expect(outside).toEqual({ kind: "persistent", id: 5 });
    expect(persistent).toEqual([outside]);
  });
});

describe("refuses by name", () => {
  const run = new Set([..."}])(tJKMGXUNqrhjcQRbsuae.".split("")].map((letter) => letter.charCodeAt(0)));
  for (const code of [0x80, 0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8f]) run.add(code);
  const others = [...opcodeNames].filter(([code]) => !run.has(code));

  test("34 opcodes are run, 34 are known and not run", () => {
    expect([...run].filter((code) => !opcodeNames.has(code))).toEqual([]);
    expect([run.size, others.length, opcodeNames.size]).toEqual([34, 34, 68]);
  });
  test.each(others)("0x%s %s", (code, name) => {
    expectCode("pickle-refused", new RegExp(`opcode ${name} at byte 2 `), pickled([code], new Uint8Array(16)));
  });
  test("every byte that is no opcode at all", () => {
    for (let byte = 0; byte < 256; byte++) {
      if (!opcodeNames.has(byte)) expectCode("pickle-invalid", /no opcode/, pickled([byte]));
    }
  });
  test.each(["os\nsystem\n", "builtins\neval\n", "__builtin__\nexec\n", "nt\nsystem\n", "m\ng\n"])(
    "the global %j",
    (pair) => {
      const name = pair.trim().replace("\n", ".");
      expectCode("pickle-refused", new RegExp(`names ${name.replace(".", "\\.")}`), pickled(`c${pair}`, ")", "R"));
    },
  );
  test("other protocols", () => {
    for (const version of [0, 1, 3, 4, 5]) {
      expectCode("pickle-refused", /protocol \d/, concat([0x80, version], "N."));
    }
  });
});

describe("bounds", () => {
  test("a list within itself", () => expectCode("pickle-refused", /itself/, pickled("]", "q", [0], "h", [0], "a")));
  test("a cycle through a call's state", () => {
    const bytes = pickled("cm\nf\n", ")", "R", "q", [0], "h", [0], "b");
    expectCode("pickle-refused", /itself/, bytes);
  });
  test("depth, counted through shared parts too", () => {
    expect(read(pickled("K", [0], new Array(64).fill(0x85))).value).toMatchObject({ kind: "tuple" });
    expectCode("pickle-refused", /deeper than 64/, pickled("K", [0], new Array(65).fill(0x85)));
    expectCode("pickle-refused", /deeper/, pickled("K", [0], new Array(1_000_000).fill(0x85)));
    const shared = concat("(", "K", [0], new Array(40).fill(0x85), "q", [0], "h", [0], new Array(40).fill(0x85), "t");
    expectCode("pickle-refused", /deeper than 64/, pickled(shared));
  });
  test("a kilobyte that unfolds into 2^60 values", () => {
    const doubling = Array.from({ length: 60 }, (_, i) => [0x71, i, 0x68, i, 0x86]).flat();
    expectCode("pickle-refused", /unfolds/, pickled("N", doubling));
  });
  test("values pushed, marked and remembered", () => {
    const many = new Array(1001).fill(0x4e);
    expectCode("pickle-refused", /too many values/, pickled("(", many, "t"), { maxValues: 1000 });
    expectCode("pickle-refused", /too many values/, pickled(new Array(1001).fill(0x28)), { maxValues: 1000 });
    const puts = Array.from({ length: 1001 }, (_, i) => [0x72, ...u32(i)]).flat();
    expectCode("pickle-refused", /too many values/, pickled("N", puts), { maxValues: 1000 });
  });
  test("length", () => expectCode("pickle-refused", /the limit is 10/, pickled(new Uint8Array(20)), { maxBytes: 10 }));
});

describe("finds unsound", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /protocol/],
    ["text", concat("hello"), /protocol/],
    ["no protocol", concat("N."), /protocol/],
    ["the protocol twice", pickled([0x80, 2], "N"), /twice/],
    ["no value", pickled(), /empty stack/],
    ["two values", pickled("N", "N"), /left over/],
    ["an open mark", pickled("(", "N"), /left over/],
    ["a mark that was never set", pickled("t"), /mark/],
    ["a pop past the mark", pickled("N", "(", [0x85]), /empty stack/],
    ["bytes behind STOP", concat([0x80, 2], "N.", "N"), /follow its end/],
    ["no STOP", concat([0x80, 2], "N"), /too early/],
    ["a string longer than the file", pickled("X", u32(0xffffffff), "a"), /too early/],
    ["a string that is not UTF-8", pickled("U", [1, 0xff]), /UTF-8/],
    ["a cut number", concat([0x80, 2], "J", [1, 2]), /too early/],
    ["a memo never stored", pickled("h", [3]), /memo 3/],
    ["a memo of nothing", pickled("q", [3]), /empty stack/],
    ["a key without a value", pickled("}", "(", "N", "u"), /without a value/],
    ["items of a list", pickled("]", "N", "N", "s"), /not a dict/],
    ["items of a number", pickled("N", "N", "N", "s"), /not a dict/],
    ["appending to a tuple", pickled(")", "N", "a"), /not a list/],
    ["appending to None", pickled("N", "N", "a"), /not a list/],
    ["calling a string", pickled(unicode("os.system"), ")", "R"), /not a global/],
    ["calling None", pickled("N", ")", "R"), /not a global/],
    ["calling what a call returned", pickled("cm\nf\n", ")", "R", ")", "R"), /not a global/],
    ["arguments that are no tuple", pickled("cm\nf\n", "]", "R"), /without a tuple/],
    ["arguments that are None", pickled("cm\nf\n", "N", "R"), /without a tuple/],
    ["state of a dict", pickled("}", "}", "b"), /state/],
    ["state of None", pickled("N", "N", "b"), /state/],
    ["state twice", pickled("cm\nf\n", ")", "R", "}", "b", "}", "b"), /state/],
    ["a global without an end", pickled("cm"), /does not end/],
    ["a global of a megabyte", pickled("c", "a".repeat(2 ** 20), "\nf\n"), /does not end/],
  ];
  test.each(cases)("%s", (_, bytes, message) => expectCode("pickle-invalid", message, bytes));
});

test("random opcodes with random operands never end in anything but a value or a VeneError", () => {
  const opcode = fc.constantFrom(
    ..."}])(tJKMGXUNqhcQRbsuae".split("").map((letter) => letter.charCodeAt(0)),
    0x81,
    0x85,
    0x86,
    0x8a,
  );
  const bytes = fc.array(fc.oneof({ weight: 3, arbitrary: opcode }, fc.integer({ min: 0, max: 255 })), {
    maxLength: 60,
  });
  const property = fc.property(bytes, (body) => {
    try {
      read(pickled(body), { allows: () => true });
    } catch (thrown) {
      if (!(thrown instanceof VeneError)) throw thrown;
      expect(thrown.code).toMatch(/^pickle-/);
    }
  });
  fc.assert(property, { numRuns: 20_000 });
});
