/** vene's ONNX codec against protobuf-es: same table, same meaning both ways, files of real exporters included. */
import { readFileSync } from "node:fs";
import { type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeMessage, decodeModel, encodeMessage, encodeModel } from "../../src/formats/onnx/codec.ts";
import { dataTypes } from "../../src/formats/onnx/dtypes.ts";
import { attributeTypes, dataLocations, type MessageName, messages } from "../../src/formats/onnx/messages.ts";
import {
  AttributeProto_AttributeType,
  file_onnx,
  ModelProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
} from "../fixtures/onnx/onnx_pb.js";
import { arbitraryChanges, damaged } from "./onnx/damage.ts";
import { arbitraryMessage, handWritten } from "./onnx/models.ts";
import { type Plain, plainOf, plainOfProtobuf } from "./onnx/plain.ts";

function allMessages(found: readonly DescMessage[]): DescMessage[] {
  return found.flatMap((message) => [message, ...allMessages(message.nestedMessages)]);
}

const schemas = new Map(allMessages(file_onnx.messages).map((schema) => [nameOf(schema), schema]));

function nameOf(schema: DescMessage): string {
  return schema.typeName.replace("onnx.", "");
}

const scalarNames: { readonly [T in ScalarType]?: string } = {
  [ScalarType.STRING]: "string",
  [ScalarType.BYTES]: "bytes",
  [ScalarType.INT64]: "int64",
  [ScalarType.UINT64]: "uint64",
  [ScalarType.INT32]: "int32",
  [ScalarType.FLOAT]: "float",
  [ScalarType.DOUBLE]: "double",
};

function typeOf(field: DescField): string {
  const element =
    field.message !== undefined
      ? nameOf(field.message)
      : field.enum !== undefined
        ? "int32"
        : scalarNames[field.scalar as ScalarType];
  if (field.fieldKind !== "list") return `${element}`;
  return `${element}${field.packed ? "[packed]" : "[]"}`;
}

function withoutReserved(schemaEnum: object): string[] {
  return Object.entries(schemaEnum).flatMap(([name, value]) =>
    typeof value === "number" ? [`${name.replaceAll("_", "").toLowerCase()} ${value}`] : [],
  );
}

function ours(table: object): string[] {
  return Object.entries(table).map(([name, value]) => `${name.toLowerCase()} ${value}`);
}

describe("the table", () => {
  test("has every message and field of onnx.proto, with number, type, packing and oneof", () => {
    const expected = Object.fromEntries(
      [...schemas].map(([name, schema]) => [
        name,
        Object.fromEntries(
          schema.fields.map((field) => {
            const oneof = field.oneof === undefined ? [] : [field.oneof.name];
            return [field.localName, [field.number, typeOf(field), ...oneof]];
          }),
        ),
      ]),
    );
    expect(messages).toEqual(expected);
    expect(schemas.size).toBe(28);
  });

  test("has every number of onnx.proto's enums", () => {
    expect(ours(dataTypes).sort()).toEqual(withoutReserved(TensorProto_DataType).sort());
    expect(ours(attributeTypes).sort()).toEqual(withoutReserved(AttributeProto_AttributeType).sort());
    expect(ours(dataLocations).sort()).toEqual(withoutReserved(TensorProto_DataLocation).sort());
  });
});

describe("protobuf-es", () => {
  test("reads what vene writes, and vene what it writes, for arbitrary models", () => {
    fc.assert(
      fc.property(arbitraryMessage("ModelProto"), (model) => {
        const bytes = encodeModel(model);
        const read = fromBinary(ModelProtoSchema, bytes);
        expect(plainOfProtobuf(ModelProtoSchema, read)).toEqual(plainOf(model));
        expect(plainOf(decodeModel(toBinary(ModelProtoSchema, read)))).toEqual(plainOf(model));
      }),
      { numRuns: 400 },
    );
  });

  test("agrees on every kind of message by itself", () => {
    const names = fc.constantFrom(...(Object.keys(messages) as MessageName[]));
    const message = names.chain((name) => arbitraryMessage(name, 2).map((init) => ({ name, init })));
    fc.assert(
      fc.property(message, ({ name, init }) => {
        const schema = schemas.get(name)!;
        const read = fromBinary(schema, encodeMessage(name, init));
        expect(plainOfProtobuf(schema, read)).toEqual(plainOf(init));
        expect(plainOf(decodeMessage(name, toBinary(schema, read)))).toEqual(plainOf(init));
      }),
      { numRuns: 1500 },
    );
  });

  test("writes the very bytes that vene writes for the model written by hand", () => {
    const bytes = encodeModel(handWritten);
    expect(Buffer.from(toBinary(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes))).equals(bytes)).toBe(true);
    expect(bytes.length).toBeGreaterThan(1000);
  });

  test("merges a message that occurs twice, and lets the last member of a oneof win, as vene does", () => {
    const twice = fc.tuple(arbitraryMessage("ModelProto", 5), arbitraryMessage("ModelProto", 5));
    fc.assert(
      fc.property(twice, (parts) => {
        const bytes = Buffer.concat(parts.map((part) => encodeModel(part)));
        const read = fromBinary(ModelProtoSchema, bytes);
        expect(plainOf(decodeModel(bytes))).toEqual(plainOfProtobuf(ModelProtoSchema, read));
      }),
      { numRuns: 300 },
    );
  });
});

test("damaged bytes that vene accepts mean the same to protobuf-es", () => {
  let compared = 0;
  fc.assert(
    fc.property(arbitraryMessage("ModelProto", 6), arbitraryChanges, (model, changes) => {
      const bytes = damaged(encodeModel(model), changes);
      let found: string;
      try {
        found = printed(plainOf(decodeModel(bytes)));
      } catch {
        return;
      }
      const expected = printed(plainOfProtobuf(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes)));
      // protobuf-es calls an enum's unknown numbers unknown fields, and writes their tags anew; vene keeps both as they are.
      if (expected.includes('"unknown"')) return;
      expect(found).toBe(expected);
      compared++;
    }),
    { numRuns: 2000 },
  );
  expect(compared).toBeGreaterThan(100);
});

function printed(plain: Plain): string {
  return JSON.stringify(plain, (_, value: unknown) => {
    if (typeof value === "bigint" || Object.is(value, -0)) return `${typeof value} ${value}`;
    if (typeof value === "number") return String(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

describe.each(["opt-ts", "opt-dy"])("the export %s", (name) => {
  const bytes = new Uint8Array(readFileSync(new URL(`../fixtures/exports/${name}.onnx`, import.meta.url)));

  test("means the same to both codecs, before and after", () => {
    const expected = plainOfProtobuf(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes));
    const model = decodeModel(bytes);
    expect(plainOf(model)).toEqual(expected);
    const again = encodeModel(model);
    expect(plainOfProtobuf(ModelProtoSchema, fromBinary(ModelProtoSchema, again))).toEqual(expected);
  });

  test("comes back byte for byte", () => {
    expect(Buffer.from(encodeModel(decodeModel(bytes))).equals(bytes)).toBe(true);
  });
});

test("the dynamo export's name scopes are there", () => {
  const bytes = readFileSync(new URL("../fixtures/exports/opt-dy.onnx", import.meta.url));
  const scopes = decodeModel(bytes).graph!.node.flatMap((node) =>
    node.metadataProps.filter(({ key }) => key === "pkg.torch.onnx.name_scopes").map(({ value }) => value!),
  );
  expect(scopes.length).toBeGreaterThan(100);
  expect(scopes.some((scope) => scope.includes("layers.1.self_attn.out_proj"))).toBe(true);
});
