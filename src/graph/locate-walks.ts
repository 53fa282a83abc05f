/** What the locator recognises in a graph whatever its names: constants, linear layers, views, norms, residual joins. */
import { storedIntegers } from "./import.ts";
import { type Node, StoredTensor, type Value } from "./ir.ts";

const constantViews = new Set(["Transpose", "Cast", "DequantizeLinear", "Identity", "Reshape", "Unsqueeze", "Squeeze"]);
/** Ops that hand the same numbers on, in another shape or dtype. */
const views = new Set(["Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Dropout"]);
const linears = new Set([
  "MatMul",
  "Gemm",
  "FusedMatMul",
  "MatMulNBits",
  "MatMulBnb4",
  "MatMulInteger",
  "DynamicQuantizeMatMul",
]);
const fusedNorms = new Set(["LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"]);
const skipNorms = new Set(["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"]);
const normSteps = new Set(["Cast", "Pow", "ReduceMean", "Add", "Sub", "Sqrt", "Div", "Reciprocal", "Mul"]);

/** Views of one another that are followed: honest files have a handful, and recursion must end. */
const MOST_VIEWS = 32;

const constancy = new WeakMap<Value, boolean>();

/** Whether a value is the same in every run: an initialiser, a Constant, or a view of one. */
export function isConstant(value: Value, depth = 0): boolean {
  const known = constancy.get(value);
  if (known !== undefined) return known;
  const { constant, producer } = value;
  const found =
    constant !== undefined ||
    producer?.op === "Constant" ||
    (producer !== undefined &&
      depth < MOST_VIEWS &&
      constantViews.has(producer.op) &&
      producer.inputs.every((input) => input === undefined || isConstant(input, depth + 1)));
  constancy.set(value, found);
  return found;
}

/** A product of activations with weights. */
export function isLinear(node: Node): boolean {
  const [data, weight] = node.inputs;
  return linears.has(node.op) && data !== undefined && weight !== undefined && isConstant(weight) && !isConstant(data);
}

/** An op that adds a branch to the residual stream and norms the sum. */
export function isSkipNorm(node: Node): boolean {
  return skipNorms.has(node.op);
}

export function isView(node: Node): boolean {
  return views.has(node.op);
}

export function readersOf(value: Value): readonly Node[] {
  return [...new Set([...value.uses].map(({ node }) => node))];
}

/** Size of the last axis, where it is known and the value is laid out by rows: rank 2 or 3. */
export function rowWidth(value: Value): number | undefined {
  const { shape } = value;
  if (shape?.length !== 2 && shape?.length !== 3) return undefined;
  return statedWidth(value) ?? widthByNeighbours(value) ?? widthOfSum(value);
}

function statedWidth({ shape }: Value): number | undefined {
  const width = shape?.at(-1);
  return typeof width === "number" ? width : undefined;
}

/** A sum is as wide as what is added. One step only: chains of sums are as long as a file likes. */
function widthOfSum({ producer }: Value): number | undefined {
  if (producer?.op !== "Add") return undefined;
  for (const input of producer.inputs) {
    const width =
      input === undefined || isConstant(input) ? undefined : (statedWidth(input) ?? widthByNeighbours(input));
    if (width !== undefined) return width;
  }
  return undefined;
}

/** Parts that projections are split into. */
const MOST_PARTS = 16;

/** Where shape inference gave up: from the weights of what makes or reads the value, or the sizes it was split into. */
function widthByNeighbours(value: Value): number | undefined {
  const { producer } = value;
  if (producer !== undefined && isLinear(producer)) return features(producer)?.out;
  if (producer?.op === "Split" && producer.outputs.length <= MOST_PARTS)
    return integersOf(producer.inputs[1])?.[producer.outputs.indexOf(value)];
  const readers = readersOf(value).filter(({ inputs }) => inputs[0] === value);
  const norm = readers.find(({ op }) => op === "LayerNormalization");
  if (norm?.inputs[1] !== undefined) return statedWidth(norm.inputs[1]);
  const linear = readers.find(isLinear);
  return linear === undefined ? undefined : features(linear)?.in;
}

/** Sizes of a linear layer's weights. */
function features(linear: Node): { in: number; out: number } | undefined {
  const { K: k, N: n, transB } = linear.attributes;
  if (typeof k === "bigint" && typeof n === "bigint") return { in: Number(k), out: Number(n) };
  const [rows, columns] = linear.inputs[1]?.shape ?? [];
  if (linear.inputs[1]?.shape?.length !== 2 || typeof rows !== "number" || typeof columns !== "number")
    return undefined;
  return linear.op === "Gemm" && transB === 1n ? { in: columns, out: rows } : { in: rows, out: columns };
}

/** An int64 constant's numbers. */
function integersOf(value: Value | undefined): readonly number[] | undefined {
  const stored = value?.constant ?? value?.producer?.attributes["value"];
  return stored instanceof StoredTensor ? storedIntegers(stored.proto) : undefined;
}

/** The value that a view of rows shows: where an edit reaches every reader. */
export function origin(value: Value): Value {
  let at = value;
  for (;;) {
    const { producer } = at;
    const [shown] = producer?.inputs ?? [];
    if (producer === undefined || shown === undefined || !isView(producer)) return at;
    if (rowWidth(shown) === undefined || rowWidth(shown) !== rowWidth(at)) return at;
    at = shown;
  }
}

/** The values that nodes read `value` as: itself and its views. */
export function viewsOf(value: Value): readonly Value[] {
  const found = [value];
  for (const shown of found) {
    const below = readersOf(shown).filter((node) => isView(node) && node.inputs[0] === shown);
    if (found.length < MOST_VIEWS) found.push(...below.slice(0, MOST_VIEWS).map((node) => node.outputs[0]!));
  }
  return found;
}

/** Readers of a value and of its views, which are themselves left out. */
export function readersThroughViews(value: Value): readonly { readonly node: Node; readonly as: Value }[] {
  return viewsOf(value).flatMap((as) =>
    readersOf(as)
      .filter((node) => !(isView(node) && node.inputs[0] === as))
      .map((node) => ({ node, as })),
  );
}

/** The linear layers that read a value. */
export function linearReaders(value: Value): readonly Node[] {
  const found = readersThroughViews(value).filter(({ node, as }) => isLinear(node) && node.inputs[0] === as);
  return [...new Set(found.map(({ node }) => node))];
}

/** A linear layer's output with its bias. */
export function settled(linear: Node): Value {
  const output = linear.outputs[0]!;
  const readers = readersThroughViews(output);
  const [only] = readers;
  if (readers.length !== 1 || only!.node.op !== "Add") return output;
  const other = only!.node.inputs.find((input) => input !== only!.as);
  return other !== undefined && isConstant(other) ? only!.node.outputs[0]! : output;
}

/** The linear layer that a value is the output of, bias included. */
export function linearOf(value: Value): Node | undefined {
  const at = origin(value);
  const { producer } = at;
  if (producer === undefined) return undefined;
  if (isLinear(producer)) return producer;
  if (producer.op !== "Add") return undefined;
  const [moving, ...rest] = producer.inputs.filter((input) => input !== undefined && !isConstant(input));
  const before = moving === undefined || rest.length > 0 ? undefined : origin(moving).producer;
  return before !== undefined && isLinear(before) ? before : undefined;
}

/** Outputs of the norms of a value: fused ones, and those written out as means, roots and products. */
export function normsOf(value: Value): readonly Value[] {
  const fused = readersThroughViews(value).filter(({ node, as }) => fusedNorms.has(node.op) && node.inputs[0] === as);
  const written = writtenNorm(value);
  return [...fused.map(({ node }) => node.outputs[0]!), ...(written === undefined ? [] : [written])];
}

/** Nodes that a norm is written in, several times over. */
const MOST_STEPS = 256;

/** What is computed from the value and constants alone by steps of a norm; its one result, if there is a mean in it. */
function writtenNorm(value: Value): Value | undefined {
  const own = new Set(viewsOf(value));
  const inside = new Set(own);
  const nodes = new Set<Node>();
  const queue = [...own];
  for (let next = queue.pop(); next !== undefined && nodes.size < MOST_STEPS; next = queue.pop()) {
    for (const node of readersOf(next)) {
      const closed = node.inputs.every((input) => input === undefined || inside.has(input) || isConstant(input));
      if (nodes.has(node) || !normSteps.has(node.op) || !closed) continue;
      nodes.add(node);
      const [output] = node.outputs;
      inside.add(output!);
      // Who waits for several values of the norm is looked at again when each of them is there.
      queue.push(output!);
    }
  }
  if (![...nodes].some(({ op }) => op === "ReduceMean")) return undefined;
  const results = [...inside].filter((one) => !own.has(one) && readersOf(one).some((node) => !nodes.has(node)));
  return results.length === 1 ? origin(results[0]!) : undefined;
}

/** Where a branch meets the residual stream: an Add of two activations, or an op that adds and norms in one. */
export interface Join {
  readonly node: Node;
  /** The branch's partner. */
  readonly other: Value;
  /** The sum; undefined where a fused op keeps it to itself. */
  readonly sum: Value | undefined;
  /** The norm of the sum that a fused op gives. */
  readonly normed: Value | undefined;
}

/** The join of a branch, perhaps behind a norm of its own. */
export function joinOf(branch: Value): Join | undefined {
  for (const value of [branch, ...normsOf(branch)]) {
    for (const { node, as } of readersThroughViews(value)) {
      const join = joinAt(node, as);
      if (join !== undefined) return join;
    }
  }
  return undefined;
}

function joinAt(node: Node, branch: Value): Join | undefined {
  const isSkip = isSkipNorm(node);
  if (node.op !== "Add" && !isSkip) return undefined;
  const [a, b] = node.inputs;
  const other = a === branch ? b : a;
  if (other === undefined || isConstant(other)) return undefined;
  if (!isSkip) return { node, other: origin(other), sum: node.outputs[0]!, normed: undefined };
  const before = (node.stored?.output ?? []).slice(0, 3).filter((name) => name !== "").length;
  const hasSum = (node.stored?.output[3] ?? "") !== "";
  return { node, other: origin(other), sum: hasSum ? node.outputs[before] : undefined, normed: node.outputs[0]! };
}
