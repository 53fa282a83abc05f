/** Hostile ONNX files that take seconds and hundreds of MB to refuse. */
import { expect, test } from "@jest/globals";
import { decodeMessage } from "../../src/formats/onnx/codec.ts";
import type { MessageName } from "../../src/formats/onnx/messages.ts";

const bombs: [string, MessageName, number[]][] = [
  ["empty nodes", "GraphProto", [0x0a, 0x00]],
  ["nodes with an empty input, output and attribute", "GraphProto", [0x0a, 0x06, 0x0a, 0x00, 0x12, 0x00, 0x2a, 0x00]],
  ["tensors with a packed number", "GraphProto", [0x2a, 0x03, 0x3a, 0x01, 0x00]],
  ["byte strings", "AttributeProto", [0x4a, 0x00]],
  ["unknown fields", "NodeProto", [0xf8, 0x01, 0x00]],
  ["numbers", "AttributeProto", [0x40, 0x7f]],
];

test.each(bombs)("100 MB of %s are refused before they fill the heap", (_, name, pattern) => {
  const bytes = new Uint8Array(100_000_000 - (100_000_000 % pattern.length));
  for (let at = 0; at < bytes.length; at += pattern.length) bytes.set(pattern, at);
  const message = expect.stringContaining("bytes of memory");
  expect(() => decodeMessage(name, bytes)).toThrow(expect.objectContaining({ code: "onnx-invalid", message }));
});
