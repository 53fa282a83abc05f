/** The graph while we work on it: values and nodes that point at each other. Names matter only when it is serialised. */
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";

/** A dimension: a number, or the name of a symbolic size. */
export type Dimension = number | string;

/** An initialiser whose bytes are elsewhere: `weight` names a tensor of the checkpoint, bound to a file when serialised. */
export interface WeightReference {
  readonly weight: string;
}

export type Attribute = number | bigint | string | readonly number[] | readonly bigint[] | readonly string[] | Tensor;

/** Wraps a float attribute, since a JS number alone would be taken for an int. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type Attributes = Readonly<Record<string, Attribute | Float>>;

/** One place where a value is read. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** A tensor on an edge: produced by one node output, a graph input, or a constant. */
export class Value {
  /** Unique in its graph. */
  name: string;
  readonly dtype: DType;
  readonly shape: readonly Dimension[] | undefined;
  /** The node that computes it; undefined for inputs and constants. */
  producer: Node | undefined;
  /** Inline data, or a reference to a checkpoint's tensor. */
  readonly constant: Tensor | WeightReference | undefined;
  readonly uses = new Set<Use>();

  constructor(name: string, dtype: DType, shape?: readonly Dimension[], constant?: Tensor | WeightReference) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.constant = constant;
  }
}

export class Node {
  readonly op: string;
  readonly domain: string;
  readonly attributes: Attributes;
  /** `undefined` is an optional input left out. */
  readonly inputs: (Value | undefined)[];
  readonly outputs: readonly Value[];

  constructor(
    op: string,
    domain: string,
    inputs: (Value | undefined)[],
    outputs: readonly Value[],
    attributes: Attributes,
  ) {
    this.op = op;
    this.domain = domain;
    this.inputs = inputs;
    this.outputs = outputs;
    this.attributes = attributes;
  }
}

/** A whole model graph. Nodes keep insertion order; `topologicalOrder` sorts them when needed. */
export class Graph {
  readonly name: string;
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly nodes = new Set<Node>();
  readonly #byName = new Map<string, Value>();

  constructor(name: string) {
    this.name = name;
  }

  /** The value of that name, if there is one. */
  find(name: string): Value | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<Value> {
    return this.#byName.values();
  }

  addInput(name: string, dtype: DType, shape: readonly Dimension[]): Value {
    const value = this.#register(new Value(name, dtype, shape));
    this.inputs.push(value);
    return value;
  }

  addConstant(name: string, tensor: Tensor): Value {
    return this.#register(new Value(name, tensor.dtype, tensor.shape, tensor));
  }

  addWeight(name: string, shape: readonly number[], dtype: DType = "float32"): Value {
    return this.#register(new Value(name, dtype, shape, { weight: name }));
  }

  addOutput(value: Value): void {
    this.outputs.push(value);
  }

  /** Adds a node computing the named outputs. Throws `graph-invalid` on a name that is taken. */
  addNode(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly { name: string; dtype?: DType; shape?: readonly Dimension[] }[],
    attributes: Attributes = {},
    domain = "",
  ): Node {
    const results = outputs.map((o) => this.#register(new Value(o.name, o.dtype ?? "float32", o.shape)));
    const node = new Node(op, domain, [...inputs], results, attributes);
    for (const result of results) result.producer = node;
    node.inputs.forEach((value, index) => {
      value?.uses.add({ node, index });
    });
    this.nodes.add(node);
    return node;
  }

  rename(value: Value, name: string): void {
    if (this.#byName.has(name)) throw nameTaken(name);
    this.#byName.delete(value.name);
    value.name = name;
    this.#byName.set(name, value);
  }

  /** A name not yet taken that starts with `stem`. */
  freeName(stem: string): string {
    for (let i = 0; ; i++) {
      const name = i === 0 ? stem : `${stem}.${i}`;
      if (!this.#byName.has(name)) return name;
    }
  }

  #register(value: Value): Value {
    if (this.#byName.has(value.name)) throw nameTaken(value.name);
    this.#byName.set(value.name, value);
    return value;
  }
}

/** Points one use at another value, keeping both use lists true. */
export function redirect(use: Use, to: Value): void {
  use.node.inputs[use.index]?.uses.delete(use);
  use.node.inputs[use.index] = to;
  to.uses.add(use);
}

function nameTaken(name: string): VeneError {
  return new VeneError("graph-invalid", `the value name ${name} is already taken`, { details: { name } });
}
