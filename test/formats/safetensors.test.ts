/** Every check of the Rust crate on hostile headers, one test each, and what must be accepted. */
import { describe, expect, test } from "@jest/globals";
import { type ByteSource, memorySource } from "../../src/base/bytes.ts";
import { readSafetensors, readSafetensorsHeader, readSafetensorsTensor } from "../../src/formats/safetensors.ts";
import { concat, u64 } from "./bytes.ts";

function file(header: string | object, data = 0): ByteSource {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  return memorySource(concat(u64(Buffer.byteLength(text)), text, new Uint8Array(data)), "x.safetensors");
}

function f32(shape: unknown, start: unknown, end: unknown): object {
  return { dtype: "F32", shape, data_offsets: [start, end] };
}

async function expectRefused(source: ByteSource, message: RegExp): Promise<void> {
  await expect(readSafetensorsHeader(source)).rejects.toMatchObject({
    code: "safetensors-invalid",
    message: expect.stringMatching(message),
  });
  await expect(readSafetensors(source)).rejects.toMatchObject({ code: "safetensors-invalid" });
}

describe("accepts", () => {
  test("zero-size and rank-0 tensors, in any order of names, with spaces after the header", async () => {
    const header = { b: f32([0, 7], 0, 0), a: f32([], 0, 4), c: f32([2], 4, 12), z: f32([3, 0], 12, 12) };
    const source = file(`${JSON.stringify(header)}      `, 12);
    const tensors = await readSafetensors(source);
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ["b", [0, 7]],
      ["a", []],
      ["c", [2]],
      ["z", [3, 0]],
    ]);
  });

  test("no tensors at all, no metadata, null metadata, unknown fields", async () => {
    expect((await readSafetensors(file("{}"))).size).toBe(0);
    expect((await readSafetensorsHeader(file('{"__metadata__":null}'))).metadata).toEqual({});
    const extra = { a: { ...f32([1], 0, 4), note: "later versions may add fields" } };
    expect((await readSafetensors(file(extra, 4))).size).toBe(1);
  });

  test("tensors and metadata called like properties of Object", async () => {
    const entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    const source = file(`{"__metadata__":{"__proto__":"x","constructor":"y"},"__proto__":${entry}}`, 1);
    const header = await readSafetensorsHeader(source);
    expect([...header.tensors.keys()]).toEqual(["__proto__"]);
    expect(Object.entries(header.metadata)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    expect((await readSafetensorsTensor(source, header, "__proto__")).shape).toEqual([1]);
  });

  test("a header of 640 bytes, whose length looks like the start of a pickle", async () => {
    const header = JSON.stringify({ a: f32([1], 0, 4) }).padEnd(0x280);
    expect((await readSafetensors(file(header, 4))).size).toBe(1);
  });
});

test("offsets are absolute, and one tensor costs one read of its bytes", async () => {
  const inner = file({ a: f32([2], 0, 8), b: f32([1], 8, 12) }, 12);
  const reads: number[][] = [];
  const source: ByteSource = {
    ...inner,
    read: (start, end) => {
      reads.push([start, end]);
      return inner.read(start, end);
    },
  };
  const header = await readSafetensorsHeader(source);
  expect(header.tensors.get("b")).toEqual({
    dtype: "float32",
    shape: [1],
    start: header.dataStart + 8,
    end: header.dataStart + 12,
  });
  reads.length = 0;
  await readSafetensorsTensor(source, header, "b");
  expect(reads).toEqual([[header.dataStart + 8, header.dataStart + 12]]);
  await expect(readSafetensorsTensor(source, header, "c")).rejects.toMatchObject({
    code: "safetensors-invalid",
    hint: "it holds a, b",
  });
});

describe("refuses the header's length:", () => {
  test("a file of fewer than 8 bytes", () => expectRefused(memorySource(new Uint8Array(7)), /too few/));
  test("an empty file", () => expectRefused(memorySource(new Uint8Array(0)), /too few/));
  test("0", () => expectRefused(file(""), /does not start with \{/));
  test("0 with { behind it", () => expectRefused(memorySource(concat(u64(0), "{}")), /does not start with \{/));
  test("more than the file", () =>
    expectRefused(memorySource(concat(u64(100), "{}")), /says 100 bytes, the file has 10/));
  test("more than 100 MB", () => expectRefused(memorySource(concat(u64(100_000_001), "{}")), /limit is 100000000/));
  test("2^63", () => expectRefused(memorySource(concat(u64(2n ** 63n), "{}")), /limit is 100000000/));
  test("2^64 - 1", () => expectRefused(memorySource(concat(u64(2n ** 64n - 1n), "{}")), /limit is 100000000/));
});

describe("refuses the header's text:", () => {
  test("not starting with {", () => expectRefused(file(" {}"), /does not start with \{/));
  test("not UTF-8", () => expectRefused(memorySource(concat(u64(4), [0x7b, 0x22, 0xff, 0x7d])), /UTF-8/));
  test("not JSON", () => expectRefused(file("{nope}"), /line 1, column 2/));
  test("cut off", () => expectRefused(file('{"a":'), /too early/));
  test("a tensor named twice", () => {
    const entry = JSON.stringify(f32([1], 0, 4));
    return expectRefused(file(`{"a":${entry},"a":${entry}}`, 4), /"a" appears twice/);
  });
  test("nested without end", () => expectRefused(file('{"a":'.repeat(100_000)), /deeper than 8/));
  test("metadata that is no object", () => expectRefused(file({ __metadata__: [] }), /not an object/));
  test("metadata values that are no strings", () => {
    return expectRefused(file({ __metadata__: { epoch: 3 } }), /__metadata__\.epoch is not a string/);
  });
});

describe("refuses a tensor's entry:", () => {
  const entry = (info: unknown, data = 4) => file({ a: info } as object, data);
  const cases: [string, ByteSource, RegExp][] = [
    ["no object", entry(3), /not an object/],
    ["null", entry(null), /not an object/],
    ["no dtype", entry({ shape: [1], data_offsets: [0, 4] }), /dtype/],
    ["an unknown dtype", entry({ dtype: "F33", shape: [1], data_offsets: [0, 4] }), /"F33"/],
    ["a dtype of less than a byte", entry({ dtype: "F4", shape: [8], data_offsets: [0, 4] }), /"F4"/],
    ["a dtype called like a method", entry({ dtype: "toString", shape: [1], data_offsets: [0, 4] }), /toString/],
    ["no shape", entry({ dtype: "F32", data_offsets: [0, 4] }), /no shape/],
    ["a negative size", entry(f32([-1], 0, 4)), /no shape/],
    ["a fraction as size", entry(f32([0.5], 0, 2), 2), /no shape/],
    ["a size beyond 2^53", entry(f32([2 ** 53], 0, 4)), /no shape/],
    ["a string as size", entry(f32(["1"], 0, 4)), /no shape/],
    ["a product that overflows", entry(f32([2 ** 32, 2 ** 32], 0, 4)), /larger than any file/],
    ["a product that overflows to 0", entry(f32([2 ** 40, 2 ** 40, 0], 0, 0), 0), /larger than any file/],
    ["shape and dtype that need another size", entry(f32([2], 0, 4)), /needs 8 bytes, its offsets \[0, 4\] hold 4/],
    ["reversed offsets", entry(f32([1], 4, 0)), /data_offsets/],
    ["negative offsets", entry(f32([1], -4, 0)), /data_offsets/],
    ["three offsets", entry({ dtype: "F32", shape: [1], data_offsets: [0, 4, 4] }), /data_offsets/],
    ["one offset", entry({ dtype: "F32", shape: [1], data_offsets: [4] }), /data_offsets/],
    ["offsets of 2^60", entry(f32([1], 2 ** 60, 2 ** 60 + 4)), /data_offsets/],
  ];
  test.each(cases)("%s", (_, source, message) => expectRefused(source, message));
});

describe("refuses tensors that do not tile the data:", () => {
  test("not beginning at 0", () => expectRefused(file({ a: f32([1], 4, 8) }, 8), /starts at byte 4, expected 0/));
  test("a hole", () => expectRefused(file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /hole/));
  test("an overlap", () => expectRefused(file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), /overlaps/));
  test("two on the same bytes", () => expectRefused(file({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4), /overlaps/));
  test("bytes behind the last", () => expectRefused(file({ a: f32([1], 0, 4) }, 5), /end at byte/));
  test("an end beyond the file", () => expectRefused(file({ a: f32([1], 0, 4) }, 3), /end at byte/));
  test("data without tensors", () => expectRefused(file("{}", 1), /end at byte/));
});

describe("names a file of another format:", () => {
  const other: [string, Uint8Array, RegExp][] = [
    ["pickle", concat([0x80, 2], "}q\0."), /bare Python pickle/],
    ["torch", concat("PK\x03\x04", new Uint8Array(60)), /zip archive/],
    ["GGUF", concat("GGUF", new Uint8Array(60)), /GGUF file/],
    ["Git LFS pointer", concat("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), /Git LFS pointer/],
    ["web page", concat("<!DOCTYPE html><html></html>"), /HTML page/],
  ];
  test.each(other)("%s", (_, bytes, message) => expectRefused(memorySource(bytes), message));
});
