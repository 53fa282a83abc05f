/** The field table compiled for walking: fields by number for the reader, in number order for the writer. */
import { type MessageName, messages, type Packable, type Scalar } from "./messages.ts";

/** How often a field occurs: once, as a list of tagged values, or as one packed run of numbers. */
export type Arity = "single" | "list" | "packed";

export interface FieldPlan {
  readonly name: string;
  readonly number: number;
  readonly arity: Arity;
  /** The scalar's name, or undefined for a message. */
  readonly scalar: Scalar | undefined;
  /** The message's plan, or undefined for a scalar. */
  readonly message: MessagePlan | undefined;
  readonly oneof: string | undefined;
  /** The other members of its oneof. */
  readonly rivals: readonly string[];
}

export interface MessagePlan {
  readonly name: MessageName;
  /** Whether a message of this kind can contain another of its kind: entering one counts towards the nesting limit. */
  readonly nests: boolean;
  /** Ascending by field number, which is the order protobuf's own writers use. */
  readonly fields: readonly FieldPlan[];
  readonly byNumber: readonly (FieldPlan | undefined)[];
}

/** Protobuf's wire types. */
export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export const wireTypeOf = {
  int64: wireTypes.varint,
  uint64: wireTypes.varint,
  int32: wireTypes.varint,
  double: wireTypes.fixed64,
  string: wireTypes.bytes,
  bytes: wireTypes.bytes,
  float: wireTypes.fixed32,
} as const satisfies { readonly [S in Scalar]: number };

/** Subgraphs within subgraphs, or types within types, beyond which a model is refused. */
export const nestingLimit = 100;

/** Every cycle among the messages passes through one of these two. */
const nesting: ReadonlySet<MessageName> = new Set(["GraphProto", "TypeProto"]);

export function isPackable(scalar: Scalar): scalar is Packable {
  return wireTypeOf[scalar] !== wireTypes.bytes;
}

export const plans: { readonly [M in MessageName]: MessagePlan } = compile();

function compile(): { readonly [M in MessageName]: MessagePlan } {
  const names = Object.keys(messages) as MessageName[];
  const shells = new Map<string, MessagePlan & { fields: FieldPlan[]; byNumber: (FieldPlan | undefined)[] }>(
    names.map((name) => [name, { name, nests: nesting.has(name), fields: [], byNumber: [] }]),
  );
  for (const [name, shell] of shells) {
    const entries = Object.entries(messages[name as MessageName]) as [string, readonly [number, string, string?]][];
    for (const [field, [number, type, oneof]] of entries) {
      const [, element = type, suffix = ""] = /^(.*?)(\[.*\])?$/.exec(type) ?? [];
      const message = shells.get(element);
      const plan: FieldPlan = {
        name: field,
        number,
        arity: suffix === "" ? "single" : suffix === "[packed]" ? "packed" : "list",
        scalar: message === undefined ? (element as Scalar) : undefined,
        message,
        oneof,
        rivals: entries
          .filter(([other, [, , group]]) => oneof !== undefined && group === oneof && other !== field)
          .map(([other]) => other),
      };
      shell.fields.push(plan);
      shell.byNumber[number] = plan;
    }
    shell.fields.sort((a, b) => a.number - b.number);
  }
  return Object.fromEntries(shells) as unknown as { readonly [M in MessageName]: MessagePlan };
}
