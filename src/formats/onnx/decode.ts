/** ONNX bytes to plain objects, driven by the field table. */
import { emptyNumbers, GrowingNumbers, type NumberArray, widthOf } from "./lists.ts";
import type { Packable, Scalar } from "./messages.ts";
import { type FieldPlan, type MessagePlan, nestingLimit, wireTypeOf, wireTypes } from "./plan.ts";
import { WireReader } from "./reader.ts";

/** A message while it is read: field name to value, and `unknown`. */
export type Draft = { [field: string]: unknown };

/** What a message, a list, a view of bytes, a string and a number weigh in memory, in the reader's units of 32 bytes. */
const weights = { message: 8, list: 6, bytes: 4, string: 2, number: 1 } as const;

const none: readonly unknown[] = Object.freeze([]);

const readScalar = {
  int64: (reader: WireReader) => reader.int64(),
  uint64: (reader: WireReader) => reader.uint64(),
  int32: (reader: WireReader) => reader.int32(),
  float: (reader: WireReader) => reader.float(),
  double: (reader: WireReader) => reader.double(),
  string: (reader: WireReader) => reader.string(),
  bytes: (reader: WireReader) => reader.block(),
} satisfies { readonly [S in Scalar]: (reader: WireReader) => unknown };

/** The message that `bytes` encode. Throws `onnx-invalid`. */
export function decode(plan: MessagePlan, bytes: Uint8Array): Draft {
  const draft = emptyDraft(plan);
  readMessage(new WireReader(bytes), plan, draft, plan.nests ? 1 : 0);
  return draft;
}

function emptyDraft(plan: MessagePlan): Draft {
  const draft: Draft = {};
  for (const field of plan.fields) {
    if (field.arity === "list") draft[field.name] = none;
    else if (field.arity === "packed") draft[field.name] = emptyNumbers(field.scalar as Packable);
  }
  return draft;
}

/** Reads fields up to `reader.end` into `draft`, which has something in it already when a single message occurs twice. */
function readMessage(reader: WireReader, plan: MessagePlan, draft: Draft, depth: number): void {
  let growing: Map<FieldPlan, GrowingNumbers> | undefined;
  while (reader.position < reader.end) {
    reader.message = plan.name;
    reader.field = "";
    reader.start = reader.position;
    const tag = reader.tag();
    const field = plan.byNumber[tag >>> 3];
    if (field === undefined) {
      readUnknown(reader, draft, tag);
      continue;
    }
    reader.field = field.name;
    if (field.arity === "packed") {
      growing ??= new Map();
      readPacked(reader, field, tag & 7, numbersOf(reader, growing, field, draft));
    } else if (field.message !== undefined) {
      readChild(reader, field, field.message, tag & 7, draft, depth);
    } else {
      readScalars(reader, field, tag & 7, draft);
    }
  }
  if (growing !== undefined) for (const [field, numbers] of growing) draft[field.name] = numbers.finish();
}

function readUnknown(reader: WireReader, draft: Draft, tag: number): void {
  const { start } = reader;
  reader.field = `field ${tag >>> 3}`;
  reader.skip(tag & 7);
  reader.spend(weights.bytes);
  listOf(reader, draft, "unknown").push(reader.bytes.subarray(start, reader.position));
}

function readChild(
  reader: WireReader,
  field: FieldPlan,
  plan: MessagePlan,
  wireType: number,
  parent: Draft,
  depth: number,
): void {
  if (wireType !== wireTypes.bytes) throw wrongWireType(reader, wireType, wireTypes.bytes);
  const below = plan.nests ? depth + 1 : depth;
  if (below > nestingLimit) throw reader.fail(`nested more than ${nestingLimit} deep`);
  reader.spend(weights.message);
  const length = reader.length();
  const outer = reader.end;
  const existing = field.arity === "single" ? (parent[field.name] as Draft | undefined) : undefined;
  const draft = existing ?? emptyDraft(plan);
  reader.end = reader.position + length;
  readMessage(reader, plan, draft, below);
  reader.end = outer;
  store(reader, field, parent, draft);
}

function readScalars(reader: WireReader, field: FieldPlan, wireType: number, draft: Draft): void {
  const scalar = field.scalar as Scalar;
  const read = readScalar[scalar];
  const weight = scalar === "string" || scalar === "bytes" ? weights[scalar] : weights.number;
  if (wireType === wireTypeOf[scalar]) {
    reader.spend(weight);
    store(reader, field, draft, read(reader));
    return;
  }
  if (field.arity === "single" || wireType !== wireTypes.bytes) {
    throw wrongWireType(reader, wireType, wireTypeOf[scalar]);
  }
  const list = listOf(reader, draft, field.name);
  withinBlock(reader, () => {
    while (reader.position < reader.end) {
      reader.spend(weight);
      list.push(read(reader));
    }
  });
}

function readPacked(reader: WireReader, field: FieldPlan, wireType: number, numbers: GrowingNumbers): void {
  const scalar = field.scalar as Packable;
  const read = readScalar[scalar];
  if (wireType === wireTypeOf[scalar]) {
    reader.spend(widthOf(scalar) / 32);
    numbers.reserve(1);
    numbers.push(read(reader));
    return;
  }
  if (wireType !== wireTypes.bytes) throw wrongWireType(reader, wireType, wireTypes.bytes);
  if (wireTypeOf[scalar] !== wireTypes.varint) {
    const block = reader.block();
    if (block.length % widthOf(scalar) !== 0) {
      throw reader.fail(`${block.length} bytes are not a whole number of ${scalar} values`);
    }
    numbers.append(block);
    return;
  }
  withinBlock(reader, () => {
    const count = reader.countVarints(reader.end);
    reader.spend((count * widthOf(scalar)) / 32);
    numbers.reserve(count);
    while (reader.position < reader.end) numbers.push(read(reader));
  });
}

function withinBlock(reader: WireReader, body: () => void): void {
  const length = reader.length();
  const outer = reader.end;
  reader.end = reader.position + length;
  body();
  reader.end = outer;
}

function numbersOf(
  reader: WireReader,
  growing: Map<FieldPlan, GrowingNumbers>,
  field: FieldPlan,
  draft: Draft,
): GrowingNumbers {
  const found = growing.get(field);
  if (found !== undefined) return found;
  reader.spend(weights.list);
  const created = new GrowingNumbers(field.scalar as Packable, draft[field.name] as NumberArray);
  growing.set(field, created);
  return created;
}

function store(reader: WireReader, field: FieldPlan, draft: Draft, value: unknown): void {
  if (field.arity === "list") {
    listOf(reader, draft, field.name).push(value);
    return;
  }
  for (const rival of field.rivals) if (draft[rival] !== undefined) delete draft[rival];
  draft[field.name] = value;
}

/** The draft's own list of that name, in place of the shared empty one. */
function listOf(reader: WireReader, draft: Draft, name: string): unknown[] {
  const found = draft[name];
  if (found !== undefined && found !== none) return found as unknown[];
  reader.spend(weights.list);
  const created: unknown[] = [];
  draft[name] = created;
  return created;
}

function wrongWireType(reader: WireReader, found: number, expected: number) {
  return reader.fail(`wire type ${found}, expected ${expected}`);
}
