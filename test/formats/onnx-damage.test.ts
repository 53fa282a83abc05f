/** Damaged and hostile ONNX bytes: always `onnx-invalid` with the place, never a hang or another error. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { VeneError } from "../../src/base/errors.ts";
import { decodeMessage, decodeModel, encodeMessage, encodeModel } from "../../src/formats/onnx/codec.ts";
import type { MessageName } from "../../src/formats/onnx/messages.ts";
import type { Init } from "../../src/formats/onnx/types.ts";
import { arbitraryChanges, damaged } from "./onnx/damage.ts";
import { arbitraryMessage, handWritten } from "./onnx/models.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

describe("refused, with message, field and byte", () => {
  const cases: [string, MessageName, string, string, number][] = [
    ["a number cut short", "AttributeProto", "0a0178 18ff", "AttributeProto.i", 3],
    ["a number of eleven bytes", "AttributeProto", "18 ffffffffffffffffffff01", "AttributeProto.i", 0],
    ["a float cut short", "AttributeProto", "15 000080", "AttributeProto.f", 0],
    ["a length beyond the end", "NodeProto", "2205 4164", "NodeProto.opType", 0],
    ["a length of 2^63", "NodeProto", "22 ffffffffffffffff7f", "NodeProto.opType", 0],
    ["a child longer than its parent", "GraphProto", "0a02 220141", "NodeProto.opType", 2],
    ["a varint for a string", "NodeProto", "2001", "NodeProto.opType", 0],
    ["a string for a number", "AttributeProto", "1a0101", "AttributeProto.i", 0],
    ["a varint for a message", "ModelProto", "3801", "ModelProto.graph", 0],
    ["a fixed64 for a packed float", "TensorProto", "21 0000000000000000", "TensorProto.floatData", 0],
    ["a ragged packed run", "TensorProto", "2205 0000803f00", "TensorProto.floatData", 0],
    ["a packed run cut inside a number", "TensorProto", "3a02 0180", "TensorProto.int64Data", 0],
    ["text that is not UTF-8", "NodeProto", "0a0178 2202 c328", "NodeProto.opType", 3],
    ["field number 0", "NodeProto", "0001", "NodeProto", 0],
    ["a group", "NodeProto", "fb01 fc01", "NodeProto.field 31", 0],
    ["an unknown field beyond the end", "NodeProto", "fa01 05 00", "NodeProto.field 31", 0],
  ];

  test.each(cases)("%s", (_, name, bytes, where, offset) => {
    let thrown: unknown;
    try {
      decodeMessage(name, hex(bytes));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(VeneError);
    expect(thrown).toMatchObject({ code: "onnx-invalid", details: { offset } });
    expect((thrown as VeneError).message).toContain(`${where} at byte ${offset}: `);
  });

  test("a replacement character and a byte order mark are proper text", () => {
    expect(decodeMessage("NodeProto", hex("2203 efbfbd")).opType).toBe("\ufffd");
    expect(decodeMessage("NodeProto", hex("2204 efbbbf41")).opType).toBe("\ufeffA");
  });

  test.each([
    ["HTML", "<!DOCTYPE html><html></html>"],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"],
    ["JSON", '{"error":"Entry not found"}'],
  ])("%s instead of a model", (_, content) => {
    expect(() => decodeModel(new TextEncoder().encode(content))).toThrow(
      expect.objectContaining({ code: "onnx-invalid" }),
    );
  });
});

/** `content` wrapped `times` in length-prefixed fields with these tags, the last one outermost. */
function wrapped(tags: readonly number[], times: number): Uint8Array {
  let parts: number[] = [];
  for (let index = 0; index < times; index++) {
    for (const tag of tags) {
      const length: number[] = [];
      let rest = parts.length;
      for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
      parts = [tag, ...length, rest, ...parts];
    }
  }
  return Uint8Array.from(parts);
}

describe("bombs", () => {
  test.each([
    ["subgraphs", "GraphProto", [0x32, 0x2a, 0x0a]],
    ["sequences", "TypeProto", [0x0a, 0x22]],
    ["optionals", "TypeProto", [0x0a, 0x4a]],
    ["maps", "TypeProto", [0x12, 0x2a]],
  ] as const)("%s nested a thousand deep", (_, name, tags) => {
    expect(() => decodeMessage(name, wrapped(tags, 1000))).toThrow(
      expect.objectContaining({ code: "onnx-invalid", message: expect.stringContaining("nested more than 100 deep") }),
    );
    expect(() => decodeMessage(name, wrapped(tags, 99))).not.toThrow();
    expect(() => decodeMessage(name, wrapped(tags, 100))).toThrow();
  });

  test("a packed run of 150 million numbers is refused before memory is taken for them", () => {
    const count = 150_000_000;
    const bytes = new Uint8Array(count + 5);
    bytes.set(hex("3a 80a3c347"));
    expect(() => decodeMessage("TensorProto", bytes)).toThrow(
      expect.objectContaining({ code: "onnx-invalid", message: expect.stringContaining("bytes of memory") }),
    );
  });

  test("a million numbers are no bomb", () => {
    const int64Data = new BigInt64Array(1_000_000).fill(-7n);
    const bytes = encodeMessage("TensorProto", { int64Data });
    const decoded = decodeMessage("TensorProto", bytes).int64Data;
    expect(decoded.length).toBe(1_000_000);
    expect(decoded.every((value) => value === -7n)).toBe(true);
  });
});

/** Decodes; what it refuses must be a VeneError, what it accepts must survive a round trip. */
function survives(bytes: Uint8Array): "accepted" | "refused" {
  let model: Init<"ModelProto">;
  try {
    model = decodeModel(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(VeneError);
    expect(error).toMatchObject({ code: "onnx-invalid" });
    return "refused";
  }
  const bytesAgain = encodeModel(model);
  expect(Buffer.compare(encodeModel(decodeModel(bytesAgain)), bytesAgain)).toBe(0);
  return "accepted";
}

describe("corruption", () => {
  test("of the model written by hand, at every byte", () => {
    const bytes = encodeModel(handWritten);
    const outcomes = { accepted: 0, refused: 0 };
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0x00, 0x7f, 0x80, 0xff]) {
        const copy = bytes.slice();
        copy[at] = value;
        outcomes[survives(copy)]++;
      }
      outcomes[survives(bytes.slice(0, at))]++;
    }
    expect(outcomes.refused).toBeGreaterThan(bytes.length);
    expect(outcomes.accepted).toBeGreaterThan(bytes.length / 2);
  });

  test("of arbitrary models", () => {
    fc.assert(
      fc.property(arbitraryMessage("ModelProto", 6), arbitraryChanges, (model, list) => {
        survives(damaged(encodeModel(model), list));
      }),
      { numRuns: 2000 },
    );
  });

  test("of noise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        survives(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test("of a real export", () => {
    const bytes = new Uint8Array(readFileSync(new URL("../fixtures/exports/opt-ts.onnx", import.meta.url)));
    const place = fc.record({ at: fc.nat(bytes.length - 1), with: fc.nat(255) });
    fc.assert(
      fc.property(place, ({ at, with: value }) => {
        const copy = bytes.slice();
        copy[at] = value;
        try {
          decodeModel(copy);
        } catch (error) {
          expect(error).toMatchObject({ code: "onnx-invalid" });
        }
      }),
      { numRuns: 300 },
    );
  });
});
