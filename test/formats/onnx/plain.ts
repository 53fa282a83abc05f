/** Two codecs' messages brought to one comparable form: set fields by name, lists without the empty ones, unknown fields as hex. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectList, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

export interface Plain {
  [field: string]: unknown;
}

/** Of a message of vene's codec, decoded or about to be encoded. */
export function plainOf(message: object): Plain {
  const plain: Plain = {};
  for (const [field, value] of Object.entries(message)) {
    if (value === undefined) continue;
    if (field === "unknown") plain["unknown"] = (value as Uint8Array[]).map(hexOf);
    else if (isList(value)) {
      if (value.length > 0) plain[field] = Array.from(value, plainValue);
    } else plain[field] = plainValue(value);
  }
  return plain;
}

/** Of a message of protobuf-es. */
export function plainOfProtobuf(schema: DescMessage, message: Message): Plain {
  return plainOfReflected(reflect(schema, message));
}

function plainOfReflected(message: ReflectMessage): Plain {
  const plain: Plain = {};
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const value: unknown = message.get(field);
    if (field.fieldKind === "list") {
      plain[field.localName] = Array.from(value as ReflectList, reflectedValue);
    } else plain[field.localName] = reflectedValue(value);
  }
  const unknown = message.getUnknown() ?? [];
  if (unknown.length > 0) {
    plain["unknown"] = unknown.map(({ no, wireType, data }) => varintHex(no * 8 + wireType) + hexOf(data));
  }
  return plain;
}

function reflectedValue(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value);
  if (typeof value === "object" && value !== null) return plainOfReflected(value as ReflectMessage);
  return value;
}

function plainValue(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value);
  return typeof value === "object" && value !== null ? plainOf(value) : value;
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof Uint8Array));
}

function varintHex(value: number): string {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return hexOf(Uint8Array.from([...bytes, rest]));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
