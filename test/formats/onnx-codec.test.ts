/** The ONNX codec by itself: round trips, views, unknown fields, packing, and what the writer refuses. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeMessage, decodeModel, encodeMessage, encodeModel } from "../../src/formats/onnx/codec.ts";
import type { Init } from "../../src/formats/onnx/types.ts";
import { arbitraryMessage, handWritten, int64Max, int64Min } from "./onnx/models.ts";
import { hexOf, plainOf } from "./onnx/plain.ts";

const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

describe("round trip", () => {
  test("arbitrary models come back as they were", () => {
    fc.assert(
      fc.property(arbitraryMessage("ModelProto"), (model) => {
        const bytes = encodeModel(model);
        const decoded = decodeModel(bytes);
        expect(plainOf(decoded)).toEqual(plainOf(model));
        expect(decodeModel(encodeModel(decoded))).toEqual(decoded);
        expect(hexOf(encodeModel(decoded))).toBe(hexOf(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test("every kind of attribute, subgraphs, INT64_MAX and negative int64", () => {
    const decoded = decodeModel(encodeModel(handWritten));
    expect(plainOf(decoded)).toEqual(plainOf(handWritten));
    const attributes = decoded.graph!.node[0]!.attribute;
    expect(attributes.find(({ name }) => name === "i")!.i).toBe(int64Max);
    expect(attributes.find(({ name }) => name === "ints")!.ints).toEqual([-1n, int64Max, int64Min, 0n]);
    const inner = attributes.find(({ name }) => name === "g")!.g!.node[0]!.attribute[0]!.g!;
    expect(inner.node[0]!.name).toBe("/model/layers.0/Identity");
    expect(inner.output[0]!.type!.tensorType!.shape!.dim.map((dim) => dim.dimParam)).toEqual(["batch", undefined]);
  });

  test("zero and the empty string are values, absence is not", () => {
    expect(hexOf(encodeMessage("AttributeProto", { f: 0, i: 0n, name: "" }))).toBe("0a0015000000001800");
    expect(hexOf(encodeMessage("AttributeProto", { f: undefined, ints: [] }))).toBe("");
    const empty = decodeMessage("AttributeProto", bytesOf());
    expect("i" in empty).toBe(false);
    expect(empty.ints).toEqual([]);
    expect(decodeMessage("TensorProto", bytesOf()).floatData).toEqual(new Float32Array(0));
  });

  test("NaN payloads of floatData survive, because its bytes are copied whole", () => {
    const bytes = hex("22 08 01 00 a0 7f 02 00 c0 ff");
    expect(hexOf(encodeMessage("TensorProto", decodeMessage("TensorProto", bytes)))).toBe(hexOf(bytes));
  });
});

describe("known bytes", () => {
  test.each([
    [1n, "1801"],
    [300n, "18ac02"],
    [-1n, "18ffffffffffffffffff01"],
    [int64Max, "18ffffffffffffffff7f"],
    [int64Min, "1880808080808080808001"],
    [2n ** 35n, "18808080808001"],
    [2n ** 53n, "188080808080808010"],
  ])("int64 %s", (value, expected) => {
    expect(hexOf(encodeMessage("AttributeProto", { i: value }))).toBe(expected);
    expect(decodeMessage("AttributeProto", hex(expected)).i).toBe(value);
  });

  test("fields are written by number, whatever the object's order", () => {
    const node: Init<"NodeProto"> = { domain: "d", opType: "t", output: ["o"], input: ["i"] };
    expect(hexOf(encodeMessage("NodeProto", node))).toBe("0a0169 12016f 220174 3a0164".replaceAll(" ", ""));
  });

  test("packed and unpacked lists are both read; each is written as onnx.proto says", () => {
    const unpackedInts = hex("4001 407f");
    const packedInts = hex("4202 017f");
    expect(decodeMessage("AttributeProto", unpackedInts).ints).toEqual([1n, 127n]);
    expect(decodeMessage("AttributeProto", packedInts).ints).toEqual([1n, 127n]);
    expect(hexOf(encodeMessage("AttributeProto", { ints: [1n, 127n] }))).toBe(hexOf(unpackedInts));
    const unpacked = decodeMessage("TensorProto", hex("25 0000803f 25 00000040 28 07 38 01"));
    expect(unpacked.floatData).toEqual(Float32Array.of(1, 2));
    expect(unpacked.int32Data).toEqual(Int32Array.of(7));
    expect(hexOf(encodeMessage("TensorProto", unpacked))).toBe("22080000803f00000040" + "2a0107" + "3a0101");
    const mixed = decodeMessage("TensorProto", hex("3a02 0102 3803 3a02 0405 3a00"));
    expect(mixed.int64Data).toEqual(BigInt64Array.of(1n, 2n, 3n, 4n, 5n));
  });

  test("an int32 above 32 bits keeps its low half, as in every protobuf", () => {
    expect(decodeMessage("TensorProto", hex("10 8180808010")).dataType).toBe(1);
    expect(decodeMessage("TensorProto", hex("10 ffffffffffffffffff01")).dataType).toBe(-1);
  });
});

describe("views", () => {
  test("rawData and byte strings share the input's buffer", () => {
    const bytes = encodeModel(handWritten);
    const model = decodeModel(bytes);
    const raw = model.graph!.initializer[0]!.rawData!;
    expect(raw.buffer).toBe(bytes.buffer);
    expect(bytes.subarray(raw.byteOffset, raw.byteOffset + 24)).toEqual(raw);
    bytes[raw.byteOffset] = 200;
    expect(raw[0]).toBe(200);
    expect(model.graph!.initializer[3]!.stringData[0]!.buffer).toBe(bytes.buffer);
  });

  test("a Buffer at an odd offset of a larger one decodes to plain views of it", () => {
    const bytes = encodeModel(handWritten);
    const pool = Buffer.alloc(bytes.length + 7);
    pool.set(bytes, 3);
    const inside = pool.subarray(3, 3 + bytes.length);
    const model = decodeModel(inside);
    expect(plainOf(model)).toEqual(plainOf(handWritten));
    const raw = model.graph!.initializer[0]!.rawData!;
    expect(Buffer.isBuffer(raw)).toBe(false);
    expect(raw.buffer).toBe(pool.buffer);
    expect(model.graph!.initializer[3]!.floatData).toEqual(Float32Array.of(0.5, Number.NaN));
  });

  test("the real export's weights are views", () => {
    const bytes = new Uint8Array(readFileSync(new URL("../fixtures/exports/opt-ts.onnx", import.meta.url)));
    const raws = decodeModel(bytes).graph!.initializer.map((tensor) => tensor.rawData!);
    expect(raws.length).toBeGreaterThan(20);
    expect(raws.every((raw) => raw.buffer === bytes.buffer)).toBe(true);
  });
});

describe("unknown fields", () => {
  // Numbers that onnx.proto does not use: a varint, fixed 64 and 32 bit, and a metadata-like message with a two-byte tag.
  const unknown = [hex("f801 2a"), hex("f901 0102030405060708"), hex("fd01 01020304"), hex("fa3f 06 0a016b 120176")];

  test("survive at every level, in order, behind the known ones", () => {
    const model: Init<"ModelProto"> = {
      irVersion: 10n,
      unknown,
      graph: { name: "g", unknown, node: [{ opType: "Add", unknown, attribute: [{ name: "a", unknown }] }] },
    };
    const decoded = decodeModel(encodeModel(model));
    expect(plainOf(decoded)).toEqual(plainOf(model));
    expect(decoded.graph!.node[0]!.attribute[0]!.unknown).toEqual(unknown);
    expect(hexOf(encodeModel(decoded))).toBe(hexOf(encodeModel(model)));
  });

  test("survive wherever they stand", () => {
    const bytes = hex("f8012a 220141 fd0101020304 0a0178");
    const node = decodeMessage("NodeProto", bytes);
    expect(node).toMatchObject({ opType: "A", input: ["x"] });
    expect(hexOf(encodeMessage("NodeProto", node))).toBe("0a0178220141f8012afd0101020304");
  });

  test("are absent when there are none", () => {
    expect("unknown" in decodeMessage("NodeProto", hex("220141"))).toBe(false);
  });
});

describe("the writer refuses", () => {
  const cases: [string, Init<"AttributeProto">, string][] = [
    ["an int64 out of range", { i: 2n ** 63n }, "AttributeProto.i"],
    ["a negative one out of range", { ints: [-(2n ** 63n) - 1n] }, "AttributeProto.ints"],
    ["a number for an int64", { i: 1 as unknown as bigint }, "AttributeProto.i"],
    ["a bigint for an int32", { type: 1n as unknown as number }, "AttributeProto.type"],
    ["a fraction for an int32", { type: 1.5 }, "AttributeProto.type"],
    ["an int32 out of range", { t: { int32Data: [2 ** 31] } }, "TensorProto.int32Data"],
    ["a negative uint64", { t: { uint64Data: [-1n] } }, "TensorProto.uint64Data"],
    ["half a surrogate pair", { name: "\ud800" }, "AttributeProto.name"],
    ["a string for bytes", { s: "x" as unknown as Uint8Array }, "AttributeProto.s"],
    ["two members of a oneof", { tp: { tensorType: {}, mapType: {} } }, "TypeProto.tensorType"],
    ["something else than a list", { ints: 3n as unknown as bigint[] }, "AttributeProto.ints"],
    ["null for a message", { t: null as unknown as Init<"TensorProto"> }, "AttributeProto.t"],
  ];

  test.each(cases)("%s", (_, attribute, where) => {
    const message = expect.stringContaining(where);
    const attempt = () => encodeModel({ graph: { node: [{ attribute: [attribute] }] } });
    expect(attempt).toThrow(expect.objectContaining({ code: "graph-invalid", message }));
  });

  test("graphs nested more than 100 deep, and those that contain themselves", () => {
    let graph: Init<"GraphProto"> = {};
    for (let depth = 1; depth < 100; depth++) graph = { node: [{ attribute: [{ g: graph }] }] };
    expect(decodeModel(encodeModel({ graph })).graph!.node.length).toBe(1);
    const deeper: Init<"GraphProto"> = { node: [{ attribute: [{ g: graph }] }] };
    expect(() => encodeModel({ graph: deeper })).toThrow(expect.objectContaining({ code: "graph-invalid" }));
    const nodes: Init<"NodeProto">[] = [];
    nodes.push({ attribute: [{ g: { node: nodes } }] });
    expect(() => encodeModel({ graph: { node: nodes } })).toThrow(expect.objectContaining({ code: "graph-invalid" }));
  });

  test("more than 2 GiB, before it takes any memory for them", () => {
    const rawData = new Uint8Array(1 << 20);
    const initializer = Array.from({ length: 2048 }, () => ({ rawData }));
    expect(() => encodeModel({ graph: { initializer } })).toThrow(
      expect.objectContaining({ code: "graph-invalid", details: expect.objectContaining({ limit: 2147483647 }) }),
    );
  });
});
