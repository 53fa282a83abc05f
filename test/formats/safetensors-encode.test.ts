/** What vene writes as safetensors: equal to the Rust crate's bytes, stable, and read back unchanged. */
import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { readSafetensors, readSafetensorsHeader } from "../../src/formats/safetensors.ts";
import { encodeSafetensors, encodeSafetensorsHeader } from "../../src/formats/safetensors-encode.ts";
import { fixture } from "../support/fixtures.ts";
import { anyTensor, plainMap } from "./bytes.ts";

test.each(["dtypes", "views", "parameters", "state_dict"])(
  "%s: the bytes that Python's safetensors wrote",
  async (name) => {
    const bytes = new Uint8Array(await readFile(fixture("torch", `${name}.safetensors`)));
    const tensors = await readSafetensors(memorySource(bytes));
    const shuffled = new Map([...tensors].reverse());
    expect(Buffer.compare(encodeSafetensors(shuffled, { "made by": "torch" }), bytes)).toBe(0);
  },
);

const name = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => text !== "__metadata__");

test("any tensors and metadata come back, and a second writing gives the same bytes", async () => {
  const maps = fc.array(fc.tuple(name, anyTensor), { maxLength: 8 }).map((pairs) => new Map(pairs));
  const metadata = fc.option(fc.dictionary(name, fc.string({ unit: "grapheme" })), { nil: undefined });
  const property = fc.asyncProperty(maps, metadata, async (tensors, strings) => {
    const bytes = encodeSafetensors(tensors, strings);
    const source = memorySource(bytes);
    const read = await readSafetensors(source);
    expect(plainMap(read)).toEqual(plainMap(tensors));
    const header = await readSafetensorsHeader(source);
    expect(Object.entries(header.metadata).sort()).toEqual(Object.entries(strings ?? {}).sort());
    expect(header.dataStart % 8).toBe(0);
    expect(Buffer.compare(encodeSafetensors(read, strings), bytes)).toBe(0);
    for (const [key, entry] of header.tensors) {
      expect(Buffer.from(bytes.subarray(entry.start, entry.end))).toEqual(Buffer.from(tensors.get(key)!.bytes));
    }
  });
  await fc.assert(property, { numRuns: 300 });
});

test("the order is widest dtype first, then names as UTF-8", () => {
  const one = (dtype: "float32" | "int64" | "bool" | "float64" | "bfloat16", name: string) => ({
    dtype,
    name,
    shape: [1],
  });
  const plan = encodeSafetensorsHeader([
    one("bool", "a"),
    one("float32", "\u{1f600}"),
    one("float32", "\uff41"),
    one("bfloat16", "c"),
    one("float64", "d"),
    one("int64", "e"),
    one("float32", "B"),
  ]);
  // U+1F600 sorts after U+FF41 as UTF-8 and before it as UTF-16.
  expect([...plan.tensors.keys()]).toEqual(["e", "d", "B", "\uff41", "\u{1f600}", "c", "a"]);
  expect(plan.size).toBe(plan.bytes.length + 8 + 8 + 12 + 2 + 1);
  const places = [...plan.tensors.values()];
  expect(places[0]!.start).toBe(plan.bytes.length);
  expect(places.at(-1)!.end).toBe(plan.size);
});

test("a header can announce more than memory holds", () => {
  const plan = encodeSafetensorsHeader([{ name: "w", dtype: "float32", shape: [2 ** 20, 2 ** 20] }]);
  expect(plan.size).toBe(plan.bytes.length + 2 ** 42);
});

test("refuses names used twice, reserved or broken, and sizes beyond any file", () => {
  const entry = { name: "w", dtype: "float32", shape: [1] } as const;
  const invalid = expect.objectContaining({ code: "safetensors-invalid" });
  expect(() => encodeSafetensorsHeader([entry, entry])).toThrow(invalid);
  expect(() => encodeSafetensorsHeader([{ ...entry, name: "__metadata__" }])).toThrow(invalid);
  expect(() => encodeSafetensorsHeader([{ ...entry, name: "\ud800" }])).toThrow(invalid);
  expect(() => encodeSafetensorsHeader([entry], { a: "\udc00" })).toThrow(invalid);
  expect(() => encodeSafetensorsHeader([{ ...entry, shape: [2 ** 52, 2] }])).toThrow(invalid);
  expect(() => encodeSafetensors(new Map([["__metadata__", Tensor.float32([1], [1])]]))).toThrow(invalid);
});
