/** GGUF control vectors: a hand-made file of every value type, and what hostile ones are refused for. */
import { describe, expect, test } from "@jest/globals";
import { type ByteSource, memorySource } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { concat, plain, u16, u32, u64 } from "./bytes.ts";

const text = (value: string): Uint8Array => concat(u64(Buffer.byteLength(value)), value);
const pair = (key: string, type: number, value: Uint8Array): Uint8Array => concat(text(key), u32(type), value);
const tensor = (name: string, dims: (number | bigint)[], type: number, offset: number | bigint): Uint8Array =>
  concat(text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset));

interface Parts {
  readonly magic?: string;
  readonly version?: number;
  readonly pairs?: readonly Uint8Array[];
  readonly tensors?: readonly Uint8Array[];
  readonly pairCount?: number | bigint;
  readonly tensorCount?: number | bigint;
  readonly alignment?: number;
  readonly data?: Uint8Array;
}

function build(parts: Parts): Uint8Array {
  const { pairs = [], tensors = [], alignment = 32, data = new Uint8Array(0) } = parts;
  const counts = concat(u64(parts.tensorCount ?? tensors.length), u64(parts.pairCount ?? pairs.length));
  const header = concat(parts.magic ?? "GGUF", u32(parts.version ?? 3), counts, ...pairs, ...tensors);
  return concat(header, new Uint8Array((alignment - (header.length % alignment)) % alignment), data);
}

const read = (parts: Parts) => readGguf(memorySource(build(parts), "v.gguf"));

async function expectRefused(parts: Parts, message: RegExp): Promise<void> {
  await expect(read(parts)).rejects.toMatchObject({ code: "gguf-invalid", message: expect.stringMatching(message) });
}

test("every type of value", async () => {
  const f32 = new Uint8Array(Float32Array.of(0.1).buffer);
  const f64 = new Uint8Array(Float64Array.of(0.1).buffer);
  const nested = concat(u32(9), u64(2), concat(u32(0), u64(2), [1, 2]), concat(u32(8), u64(1), text("x")));
  const pairs = [
    pair("u8", 0, Uint8Array.of(200)),
    pair("i8", 1, Uint8Array.of(200)),
    pair("u16", 2, u16(40000)),
    pair("i16", 3, u16(40000)),
    pair("u32", 4, u32(4e9)),
    pair("i32", 5, u32(4e9)),
    pair("f32", 6, f32),
    pair("yes", 7, Uint8Array.of(1)),
    pair("no", 7, Uint8Array.of(0)),
    pair("text", 8, text("h\u00e9")),
    pair("array", 9, nested),
    pair("u64", 10, u64(5)),
    pair("u64 large", 10, u64(2n ** 63n)),
    pair("i64", 11, u64(2n ** 64n - 3n)),
    pair("f64", 12, f64),
    pair("__proto__", 8, text("a key like any other")),
  ];
  const { version, metadata, tensors } = await read({ pairs });
  expect([version, tensors.size]).toEqual([3, 0]);
  expect(Object.fromEntries([...metadata].filter(([key]) => key !== "__proto__"))).toEqual({
    u8: 200,
    i8: -56,
    u16: 40000,
    i16: -25536,
    u32: 4e9,
    i32: -294967296,
    f32: Math.fround(0.1),
    yes: true,
    no: false,
    text: "h\u00e9",
    array: [[1, 2], ["x"]],
    u64: 5,
    "u64 large": 2n ** 63n,
    i64: -3,
    f64: 0.1,
  });
  expect(metadata.get("__proto__")).toBe("a key like any other");
});

test("tensors of four dtypes, shapes turned row-major, with an alignment of its own, versions 2 and 3", async () => {
  const values = Tensor.float32([2, 3], [1, 2, 3, 4, 5, 6]);
  const half = Tensor.float32([2], [-0.5, 8]);
  const double = new Tensor("float64", [], new Uint8Array(Float64Array.of(2.5).buffer));
  const data = new Uint8Array(64 * 4);
  data.set(values.bytes, 64);
  data.set(half.to("float16").bytes, 0);
  data.set(half.to("bfloat16").bytes, 128);
  data.set(double.bytes, 192);
  for (const version of [2, 3]) {
    const { tensors } = await read({
      version,
      alignment: 64,
      pairs: [pair("general.alignment", 4, u32(64))],
      tensors: [
        tensor("f32", [3, 2], 0, 64),
        tensor("f16", [2], 1, 0),
        tensor("bf16", [2], 30, 128),
        tensor("f64", [], 28, 192),
        tensor("none", [0, 5], 0, 64),
      ],
      data,
    });
    expect([...tensors].map(([name, found]) => [name, plain(found)])).toEqual([
      ["f32", plain(values)],
      ["f16", plain(half.to("float16"))],
      ["bf16", plain(half.to("bfloat16"))],
      ["f64", plain(double)],
      ["none", plain(Tensor.float32([5, 0], []))],
    ]);
  }
});

const long = pair("long", 8, text("x".repeat(100_000)));

test("a header longer than the first read", async () => {
  const { metadata } = await read({ pairs: [long, pair("after", 0, Uint8Array.of(7))] });
  expect(metadata.get("after")).toBe(7);
});

test("a whole model is refused without its weights being read", async () => {
  const inner = memorySource(build({ tensors: [tensor("blk.0.attn_q.weight", [4096, 4096], 12, 0)] }));
  let largest = 0;
  const source: ByteSource = {
    ...inner,
    size: 8e9,
    read: (start, end) => {
      largest = Math.max(largest, end - start);
      return inner.read(start, Math.min(end, inner.size));
    },
  };
  await expect(readGguf(source)).rejects.toMatchObject({
    code: "gguf-invalid",
    message: expect.stringMatching(/blk\.0\.attn_q\.weight has the type Q4_K/),
  });
  expect(largest).toBeLessThanOrEqual(65536);
});

describe("refuses", () => {
  const data = new Uint8Array(64);
  const one = tensor("direction.1", [4], 0, 0);
  const depth = (levels: number): Uint8Array =>
    levels === 0 ? Uint8Array.of(1) : concat(u32(levels === 1 ? 0 : 9), u64(1), depth(levels - 1));
  const cases: [string, Parts, RegExp][] = [
    ["another magic", { magic: "GGML" }, /begin with GGUF/],
    ["a zip", { magic: "PK\x03\x04" }, /zip archive/],
    ["version 1", { version: 1 }, /version 1/],
    ["version 4", { version: 4 }, /version 4/],
    ["big-endian", { version: 0x03000000 }, /big-endian/],
    ["2^60 tensors", { tensorCount: 2n ** 60n }, /announces 1152921504606846976 items/],
    ["2^64 - 1 keys", { pairCount: 2n ** 64n - 1n }, /announces 18446744073709551615 items/],
    ["one tensor too many", { tensors: [one], tensorCount: 2, data }, /direction\.1 overlaps/],
    ["a string of 2^40 bytes", { pairs: [concat(u64(2n ** 40n), "a")] }, /announces 1099511627776/],
    ["an array of 2^50 bytes", { pairs: [pair("a", 9, concat(u32(0), u64(2n ** 50n)))] }, /announces/],
    ["arrays 9 deep", { pairs: [pair("a", 9, depth(9))] }, /deeper than 8/],
    ["an unknown type of value", { pairs: [pair("a", 13, u32(0))] }, /unknown type 13/],
    ["an array of an unknown type", { pairs: [pair("a", 9, concat(u32(99), u64(1), u32(0)))] }, /unknown type 99/],
    ["a boolean of 2", { pairs: [pair("a", 7, Uint8Array.of(2))] }, /boolean is 2/],
    ["a string that is not UTF-8", { pairs: [pair("a", 8, concat(u64(1), [0xff]))] }, /UTF-8/],
    ["a key named twice", { pairs: [pair("a", 0, Uint8Array.of(1)), pair("a", 0, Uint8Array.of(1))] }, /key a twice/],
    ["a tensor named twice", { tensors: [one, one], data }, /two tensors are called direction\.1/],
    ["5 dimensions", { tensors: [tensor("t", [1, 1, 1, 1, 1], 0, 0)], data }, /5 dimensions/],
    ["a dimension of 2^63", { tensors: [tensor("t", [2n ** 63n], 0, 0)], data }, /size or offset/],
    ["a product that overflows", { tensors: [tensor("t", [2 ** 40, 2 ** 40], 0, 0)], data }, /does not fit/],
    ["a tensor beyond the file", { tensors: [tensor("t", [17], 0, 0)], data }, /does not fit/],
    ["an offset beyond the file", { tensors: [tensor("t", [4], 0, 64)], data }, /does not fit/],
    ["an offset of 2^60", { tensors: [tensor("t", [4], 0, 2n ** 60n)], data }, /size or offset/],
    ["an unaligned offset", { tensors: [tensor("t", [4], 0, 4)], data }, /does not fit/],
    ["overlapping tensors", { tensors: [tensor("a", [9], 0, 0), tensor("b", [4], 0, 32)], data }, /b overlaps a/],
    ["Q8_0", { tensors: [tensor("t", [32], 8, 0)], data }, /t has the type Q8_0/],
    ["I32", { tensors: [tensor("t", [4], 26, 0)], data }, /type I32/],
    ["a type of the future", { tensors: [tensor("t", [4], 999, 0)], data }, /type 999/],
    ["an alignment of 0", { pairs: [pair("general.alignment", 4, u32(0))] }, /alignment is 0/],
    ["an alignment of 24", { pairs: [pair("general.alignment", 4, u32(24))] }, /alignment is 24/],
    ["an alignment that is text", { pairs: [pair("general.alignment", 8, text("32"))] }, /alignment is 32/],
  ];
  test.each(cases)("%s", (_, parts, message) => expectRefused(parts, message));

  test("a file cut anywhere", async () => {
    const bytes = build({ pairs: [pair("a", 8, text("b"))], tensors: [one], data: new Uint8Array(16) });
    for (let length = 0; length < bytes.length; length++) {
      await expect(readGguf(memorySource(bytes.slice(0, length)))).rejects.toMatchObject({ code: "gguf-invalid" });
    }
    expect((await readGguf(memorySource(bytes))).tensors.size).toBe(1);
  });

  test("more values than any vocabulary", async () => {
    const huge = pair("a", 9, concat(u32(7), u64(4_000_001), new Uint8Array(4_000_001)));
    await expectRefused({ pairs: [huge] }, /more than 4000000 values/);
  });
});
