/** An ONNX model that others exported as our graph, and back: what vene does not understand is kept as the file has it. */
import type { DType } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import { dtypeOf } from "../formats/onnx/dtypes.ts";
import { attributeTypes } from "../formats/onnx/messages.ts";
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from "../formats/onnx/types.ts";
import { capturedNames } from "./import-bodies.ts";
import { type Attribute, type Dimension, Float, Graph, Node, StoredTensor, Value } from "./ir.ts";
import { topologicalOrder } from "./order.ts";

/** A value's type as a file or onnxruntime's inference gives it. */
export interface ValueType {
  readonly dtype: DType | undefined;
  /** Undefined: the rank is unknown. */
  readonly shape: readonly Dimension[] | undefined;
}

/** Types of a graph's values by name. */
export type ValueTypes = ReadonlyMap<string, ValueType>;

/**
 * The main graph of a model. Nodes, bodies (If, Loop, Scan), attributes, metadata and initialisers are kept; `types` adds to
 * what the file says of its values. Throws `onnx-invalid` for a missing graph, a name that is given twice or by nobody,
 * a cycle, and sparse initialisers.
 */
export function importGraph(model: ModelProto, types: ValueTypes = new Map()): Graph {
  const proto = model.graph;
  if (proto === undefined) throw refused("the file has no graph", {});
  if (proto.sparseInitializer.length > 0) throw refused("sparse initialisers are not supported", {});
  const graph = new Graph(proto.name ?? "", proto);
  const known = new Map([...declaredTypes(proto), ...types]);
  addConstants(graph, proto);
  addInputs(graph, proto);
  const declared = new Map(proto.output.map((output) => [output.name, output]));
  const outputs = proto.node.map((node) => addOutputs(graph, declared, node, known));
  proto.node.forEach((node, index) => {
    graph.insert(nodeOf(graph, node, outputs[index]!));
  });
  if (declared.size < proto.output.length) throw refused("an output is listed twice", {});
  for (const { name = "" } of proto.output) graph.addOutput(read(graph, name, "the graph's outputs"));
  checkOrder(graph);
  return graph;
}

/** The version of ONNX's own operators that the model is written in; 0 where it says none. */
export function opsetOf(model: ModelProto): number {
  const own = model.opsetImport.find(({ domain = "" }) => domain === "" || domain === "ai.onnx");
  return Number(own?.version ?? 0n);
}

function addConstants(graph: Graph, { initializer }: GraphProto): void {
  for (const tensor of initializer) {
    const shape = Array.from(tensor.dims, Number);
    add(graph, new Value(tensor.name ?? "", dtypeOf(tensor.dataType ?? 0), shape, new StoredTensor(tensor)));
  }
}

function addInputs(graph: Graph, { input }: GraphProto): void {
  for (const declared of input) {
    const name = declared.name ?? "";
    // An initialiser may be listed as an input, so that it could be fed: here it is what the file says.
    if (graph.find(name)?.constant !== undefined) continue;
    const { dtype, shape } = typeOf(declared);
    graph.inputs.push(add(graph, new Value(name, dtype, shape, undefined, declared)));
  }
}

function addOutputs(
  graph: Graph,
  declared: ReadonlyMap<string | undefined, ValueInfoProto>,
  node: NodeProto,
  types: ValueTypes,
): readonly Value[] {
  return node.output
    .filter((name) => name !== "")
    .map((name) => {
      const type = types.get(name);
      return add(graph, new Value(name, type?.dtype, type?.shape, undefined, declared.get(name)));
    });
}

function nodeOf(graph: Graph, proto: NodeProto, outputs: readonly Value[]): Node {
  const op = proto.opType ?? "";
  const by = `the ${op} ${quoted(proto.name ?? "")}`;
  const inputs = proto.input.map((name) => (name === "" ? undefined : read(graph, name, by)));
  const captured = capturedNames(proto).map((name) => read(graph, name, `a body of ${by}`));
  return new Node(op, proto.domain ?? "", [...inputs, ...captured], outputs, attributesOf(proto), proto);
}

/** The attributes that a locator may ask for; the others are only kept. */
function attributesOf({ attribute }: NodeProto): Readonly<Record<string, Attribute | Float | StoredTensor>> {
  const readable = attribute.flatMap((one) => {
    const value = attributeValue(one);
    return value === undefined ? [] : [[one.name ?? "", value] as const];
  });
  return Object.fromEntries(readable);
}

function attributeValue(attribute: AttributeProto): Attribute | Float | StoredTensor | undefined {
  const { type, f, i, s, t, ints } = attribute;
  if (type === attributeTypes.float) return new Float(f ?? 0);
  if (type === attributeTypes.int) return i ?? 0n;
  if (type === attributeTypes.string) return Buffer.from(s ?? []).toString("utf8");
  if (type === attributeTypes.ints) return ints;
  return type === attributeTypes.tensor && t !== undefined ? new StoredTensor(t) : undefined;
}

function declaredTypes({ input, output, valueInfo }: GraphProto): ValueTypes {
  return new Map([...valueInfo, ...input, ...output].map((declared) => [declared.name ?? "", typeOf(declared)]));
}

function typeOf({ type }: ValueInfoProto): ValueType {
  const tensor = type?.tensorType;
  if (tensor === undefined) return { dtype: undefined, shape: undefined };
  const shape = tensor.shape?.dim.map(({ dimValue, dimParam }, axis): Dimension => {
    return dimValue === undefined ? dimParam || `axis ${axis}` : Number(dimValue);
  });
  return { dtype: dtypeOf(tensor.elemType ?? 0), shape };
}

function add(graph: Graph, value: Value): Value {
  if (value.name === "") throw refused("a value has no name", {});
  if (graph.find(value.name) !== undefined) {
    throw refused(`the value ${quoted(value.name)} is defined twice`, { name: value.name });
  }
  return graph.addValue(value);
}

function read(graph: Graph, name: string, by: string): Value {
  const value = graph.find(name);
  if (value !== undefined) return value;
  throw refused(`${by} reads ${quoted(name)}, which nothing computes`, { name });
}

function checkOrder(graph: Graph): void {
  try {
    topologicalOrder(graph);
  } catch (cause) {
    throw refused("its nodes form a cycle", {}, cause);
  }
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}...` : name);
}

function refused(what: string, details: Readonly<Record<string, unknown>>, cause?: unknown): VeneError {
  return new VeneError("onnx-invalid", `the ONNX model cannot be used: ${what}`, { details, cause });
}

/** The numbers of an int64 tensor that a graph holds inline; undefined for others. */
export function storedIntegers({ dataType, rawData, int64Data }: TensorProto): readonly number[] | undefined {
  if (dtypeOf(dataType ?? 0) !== "int64") return undefined;
  if (rawData === undefined) return Array.from(int64Data, Number);
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: rawData.byteLength >> 3 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}
