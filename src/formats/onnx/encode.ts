/** Plain objects to ONNX bytes: one walk measures and checks, a second writes each byte once into its place. */
import { VeneError } from "../../base/errors.ts";
import { isTyped, widthOf } from "./lists.ts";
import type { Packable, Scalar } from "./messages.ts";
import { type FieldPlan, isPackable, type MessagePlan, nestingLimit, wireTypeOf, wireTypes } from "./plan.ts";
import { int64Size, varintSize, WireWriter } from "./writer.ts";

type Message = { readonly [field: string]: unknown };

/** The largest message that protobuf, and so any reader of ONNX, accepts. */
const sizeLimit = 0x7fffffff;

/** The bytes of `message`. Throws `graph-invalid` for a value that its field cannot hold, and for more than 2 GiB in all. */
export function encode(plan: MessagePlan, message: Message): Uint8Array {
  const sizes = new Sizes();
  const total = measureMessage(sizes, plan, message, plan.nests ? 1 : 0);
  if (total > sizeLimit) {
    throw new VeneError(
      "graph-invalid",
      `the model takes ${total} bytes, more than the ${sizeLimit} that ONNX files allow`,
      {
        hint: "keep weights outside: external_data that points into another file",
        details: { size: total, limit: sizeLimit },
      },
    );
  }
  sizes.rewind();
  const writer = new WireWriter(total);
  writeMessage(writer, sizes, plan, message);
  return writer.finish();
}

/** Lengths that prefixes announce, in the order of the walk: noted while measuring, taken while writing. */
class Sizes {
  readonly #values: number[] = [];
  #next = 0;

  /** Keeps a place for a length that is known only after its content is measured. */
  place(): number {
    return this.#values.push(0) - 1;
  }

  set(place: number, size: number): void {
    this.#values[place] = size;
  }

  rewind(): void {
    this.#next = 0;
  }

  take(): number {
    return this.#values[this.#next++]!;
  }
}

function unfit(plan: MessagePlan, field: FieldPlan, reason: string): VeneError {
  return new VeneError("graph-invalid", `${plan.name}.${field.name}: ${reason}`, {
    details: { message: plan.name, field: field.name },
  });
}

/** What a scalar takes without tag or length, or undefined if the field cannot hold it. */
const measureScalar = {
  int64: (value) => (typeof value === "bigint" && BigInt.asIntN(64, value) === value ? int64Size(value) : undefined),
  uint64: (value) => (typeof value === "bigint" && BigInt.asUintN(64, value) === value ? int64Size(value) : undefined),
  int32: (value) => (typeof value === "number" && (value | 0) === value ? int32Size(value) : undefined),
  float: (value) => (typeof value === "number" ? 4 : undefined),
  double: (value) => (typeof value === "number" ? 8 : undefined),
  string: (value) => (typeof value === "string" ? utf8Size(value) : undefined),
  bytes: (value) => (value instanceof Uint8Array ? value.length : undefined),
} as const satisfies { readonly [S in Scalar]: (value: unknown) => number | undefined };

const writeScalar = {
  int64: (writer, value) => writer.int64(value as bigint),
  uint64: (writer, value) => writer.int64(value as bigint),
  int32: (writer, value) => writer.int32(value as number),
  float: (writer, value) => writer.float(value as number),
  double: (writer, value) => writer.double(value as number),
  string: (writer, value) => writer.string(value as string),
  bytes: (writer, value) => writer.bytes(value as Uint8Array),
} as const satisfies { readonly [S in Scalar]: (writer: WireWriter, value: unknown) => void };

function int32Size(value: number): number {
  return value < 0 ? 10 : varintSize(value);
}

/** Undefined for text with half a surrogate pair, which UTF-8 cannot say. */
function utf8Size(text: string): number | undefined {
  const size = Buffer.byteLength(text, "utf8");
  return size !== text.length && /[\ud800-\udfff]/u.test(text) ? undefined : size;
}

function measureMessage(sizes: Sizes, plan: MessagePlan, message: Message, depth: number): number {
  let total = 0;
  for (const field of plan.fields) {
    const value = message[field.name];
    if (value === undefined) continue;
    for (const rival of field.rivals) {
      if (message[rival] !== undefined) throw unfit(plan, field, `set together with ${rival}; only one may be`);
    }
    if (field.arity === "single") {
      total += measureOne(sizes, plan, field, value, depth);
      continue;
    }
    const list = listOf(plan, field, value);
    if (field.arity === "packed") total += measurePacked(sizes, plan, field, list);
    else for (let index = 0; index < list.length; index++) total += measureOne(sizes, plan, field, list[index], depth);
  }
  for (const raw of unknownOf(message)) total += raw.length;
  return total;
}

function listOf(plan: MessagePlan, field: FieldPlan, value: unknown): ArrayLike<unknown> {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return value as unknown as ArrayLike<unknown>;
  throw unfit(plan, field, `${shown(value)} is not a list`);
}

function measureOne(sizes: Sizes, plan: MessagePlan, field: FieldPlan, value: unknown, depth: number): number {
  const tag = varintSize(field.number * 8);
  if (field.message !== undefined) {
    if (typeof value !== "object" || value === null) throw unfit(plan, field, `${typeof value} is not a message`);
    const below = field.message.nests ? depth + 1 : depth;
    if (below > nestingLimit) throw unfit(plan, field, `nested more than ${nestingLimit} deep`);
    const place = sizes.place();
    const size = measureMessage(sizes, field.message, value as Message, below);
    sizes.set(place, size);
    return tag + varintSize(size) + size;
  }
  const scalar = field.scalar as Scalar;
  const size = measureScalar[scalar](value);
  if (size === undefined) throw unfit(plan, field, `${shown(value)} is not a value of type ${scalar}`);
  if (isPackable(scalar)) return tag + size;
  sizes.set(sizes.place(), size);
  return tag + varintSize(size) + size;
}

function measurePacked(sizes: Sizes, plan: MessagePlan, field: FieldPlan, values: ArrayLike<unknown>): number {
  if (values.length === 0) return 0;
  const scalar = field.scalar as Packable;
  let size = 0;
  if (wireTypeOf[scalar] !== wireTypes.varint && isTyped(scalar, values)) size = values.length * widthOf(scalar);
  else {
    const measure = measureScalar[scalar];
    for (let index = 0; index < values.length; index++) {
      const one = measure(values[index]);
      if (one === undefined) throw unfit(plan, field, `${shown(values[index])} is not a value of type ${scalar}`);
      size += one;
    }
  }
  sizes.set(sizes.place(), size);
  return varintSize(field.number * 8) + varintSize(size) + size;
}

function writeMessage(writer: WireWriter, sizes: Sizes, plan: MessagePlan, message: Message): void {
  for (const field of plan.fields) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.arity === "packed") writePacked(writer, sizes, field, value as ArrayLike<unknown>);
    else if (field.arity === "single") writeOne(writer, sizes, field, value);
    else for (const element of value as readonly unknown[]) writeOne(writer, sizes, field, element);
  }
  for (const raw of unknownOf(message)) writer.bytes(raw);
}

function writeOne(writer: WireWriter, sizes: Sizes, field: FieldPlan, value: unknown): void {
  if (field.message !== undefined) {
    writer.varint(field.number * 8 + wireTypes.bytes);
    writer.varint(sizes.take());
    writeMessage(writer, sizes, field.message, value as Message);
    return;
  }
  const scalar = field.scalar as Scalar;
  writer.varint(field.number * 8 + wireTypeOf[scalar]);
  if (!isPackable(scalar)) writer.varint(sizes.take());
  writeScalar[scalar](writer, value);
}

function writePacked(writer: WireWriter, sizes: Sizes, field: FieldPlan, values: ArrayLike<unknown>): void {
  if (values.length === 0) return;
  const scalar = field.scalar as Packable;
  writer.varint(field.number * 8 + wireTypes.bytes);
  writer.varint(sizes.take());
  if (wireTypeOf[scalar] !== wireTypes.varint && isTyped(scalar, values)) {
    writer.bytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return;
  }
  const write = writeScalar[scalar];
  for (let index = 0; index < values.length; index++) write(writer, values[index]);
}

function unknownOf(message: Message): readonly Uint8Array[] {
  return (message["unknown"] as readonly Uint8Array[] | undefined) ?? [];
}

function shown(value: unknown): string {
  return typeof value === "string"
    ? JSON.stringify(value.slice(0, 40))
    : `${typeof value} ${String(value).slice(0, 40)}`;
}
