/** The graph while we work on it: values and nodes that point at each other. Names matter only when it is serialised. */
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from "../formats/onnx/types.ts";

/** A dimension: a number, or the name of a symbolic size. */
export type Dimension = number | string;

/** A weight of a Linear layer, made of few bits per number in blocks. */
export interface QuantisedWeight {
  /** Its name in the checkpoint. */
  readonly tensor: string;
  readonly bits: 4 | 8;
  /** Whether the checkpoint has it as [in, out]. */
  readonly inFirst: boolean;
}

/** An initialiser whose bytes are elsewhere: `weight` names a tensor of the checkpoint, bound to a file when serialised. */
export interface WeightReference {
  readonly weight: string;
  /** Set for a part of a quantised weight, which the checkpoint does not have under this name. */
  readonly quantised?: QuantisedWeight | undefined;
}

/** An initialiser of an imported file as the file has it: small ones whole, large ones as a reference to bytes in a file. */
export class StoredTensor {
  readonly proto: TensorProto;
  constructor(proto: TensorProto) {
    this.proto = proto;
  }
}

export type Constant = Tensor | WeightReference | StoredTensor;

export type Attribute = number | bigint | string | readonly number[] | readonly bigint[] | readonly string[] | Tensor;

/** Wraps a float attribute, since a JS number alone would be taken for an int. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/**
 * A graph inside a node, such as the body of a Scan. Bodies may read values of the graph around them: the last `captured`
 * inputs of the node are such values, in the body its last `captured` inputs stand for them, and neither are the operator's.
 */
export class Body {
  readonly graph: Graph;
  readonly captured: number;
  constructor(graph: Graph, captured: number) {
    this.graph = graph;
    this.captured = captured;
  }
}

export type Attributes = Readonly<Record<string, Attribute | Float | Body | StoredTensor>>;

/** One place where a value is read. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** A tensor on an edge: produced by one node output, a graph input, or a constant. */
export class Value {
  /** Unique in its graph. */
  name: string;
  /** Undefined where an imported file does not say, or has a type that vene has no tensors of. */
  readonly dtype: DType | undefined;
  readonly shape: readonly Dimension[] | undefined;
  /** The node that computes it; undefined for inputs and constants. */
  producer: Node | undefined;
  /** Inline data, or a reference to bytes elsewhere. */
  readonly constant: Constant | undefined;
  /** Of an imported file's inputs and outputs: their type as the file has it. */
  readonly declared: ValueInfoProto | undefined;
  readonly uses = new Set<Use>();

  constructor(
    name: string,
    dtype: DType | undefined,
    shape?: readonly Dimension[],
    constant?: Constant,
    declared?: ValueInfoProto,
  ) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.constant = constant;
    this.declared = declared;
  }
}

export class Node {
  readonly op: string;
  readonly domain: string;
  readonly attributes: Attributes;
  /** `undefined` is an optional input left out. The last ones may be what a body captures. */
  readonly inputs: (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** Of an imported node: all that the file says of it. Its inputs beyond those listed there are what its bodies capture. */
  readonly stored: NodeProto | undefined;

  constructor(
    op: string,
    domain: string,
    inputs: (Value | undefined)[],
    outputs: readonly Value[],
    attributes: Attributes,
    stored?: NodeProto,
  ) {
    this.op = op;
    this.domain = domain;
    this.inputs = inputs;
    this.outputs = outputs;
    this.attributes = attributes;
    this.stored = stored;
  }
}

/** A whole model graph. Nodes keep insertion order; `topologicalOrder` sorts them when needed. */
export class Graph {
  readonly name: string;
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly nodes = new Set<Node>();
  /** Of an imported graph: what the file says of it besides nodes and values. */
  readonly stored: GraphProto | undefined;
  readonly #byName = new Map<string, Value>();

  constructor(name: string, stored?: GraphProto) {
    this.name = name;
    this.stored = stored;
  }

  /** The value of that name, if there is one. */
  find(name: string): Value | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<Value> {
    return this.#byName.values();
  }

  addInput(name: string, dtype: DType, shape: readonly Dimension[]): Value {
    const value = this.addValue(new Value(name, dtype, shape));
    this.inputs.push(value);
    return value;
  }

  /** Takes out an input that nothing reads. */
  removeInput(value: Value): void {
    this.inputs.splice(this.inputs.indexOf(value), 1);
    this.#byName.delete(value.name);
  }

  addConstant(name: string, tensor: Tensor): Value {
    return this.addValue(new Value(name, tensor.dtype, tensor.shape, tensor));
  }

  addWeight(name: string, shape: readonly number[], dtype: DType = "float32"): Value {
    return this.addValue(new Value(name, dtype, shape, { weight: name }));
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
    const results = outputs.map((o) => this.addValue(new Value(o.name, o.dtype ?? "float32", o.shape)));
    return this.insert(new Node(op, domain, [...inputs], results, attributes));
  }

  /** Takes a node whose inputs and outputs are values of this graph. */
  insert(node: Node): Node {
    for (const output of node.outputs) output.producer = node;
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

  /** Takes a value under its name. Throws `graph-invalid` when the name is taken. */
  addValue(value: Value): Value {
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
