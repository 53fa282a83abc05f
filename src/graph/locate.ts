/** Finds a decoder's components in a graph by its structure alone: from each layer's cache to its attention, and on from there. */
import type { Graph, Node, Value } from "./ir.ts";
import {
  isConstant,
  isLinear,
  isSkipNorm,
  type Join,
  joinOf,
  linearOf,
  linearReaders,
  normsOf,
  origin,
  readersOf,
  readersThroughViews,
  rowWidth,
  settled,
} from "./locate-walks.ts";

/** What a layer of a decoder is made of, by pyvene's names for it. */
export type LocatedComponent =
  | "block_input"
  | "block_output"
  | "attention_input"
  | "attention_value_output"
  | "attention_output"
  | "query_output"
  | "key_output"
  | "value_output"
  | "mlp_input"
  | "mlp_activation"
  | "mlp_output";

/** A value as some nodes read it, when others read it, too: an edit is for these alone. */
export interface ReadBy {
  readonly value: Value;
  readonly by: readonly Node[];
}

/** A value, or why there is none: a sentence's end such as "is inside the op X". */
export type Finding = Value | ReadBy | string;

/** Components of one layer. Those not in it were not found at all. */
export type LocatedLayer = ReadonlyMap<LocatedComponent, Finding>;

const fusedCores = new Set([
  "GroupQueryAttention",
  "MultiHeadAttention",
  "Attention",
  "SparseAttention",
  "PagedAttention",
]);
const afterSoftmax = new Set(["Cast", "Where", "Identity", "Dropout", "Reshape"]);
const aroundContext = new Set(["Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze"]);
/** Ops whose further inputs are shapes, axes or indices. */
const firstInputOnly = new Set([
  "Reshape",
  "Expand",
  "Slice",
  "Split",
  "Unsqueeze",
  "Squeeze",
  "Transpose",
  "Gather",
  "Cast",
  "Tile",
]);

/** Values that a search looks at before it gives up: a layer of an honest file has a few hundred. */
const FAR = 4000;

/** The layer whose cache of keys is the input `pastKey`; a string says what was looked for in vain. */
export function locateLayer(graph: Graph, pastKey: string): LocatedLayer | string {
  const past = graph.find(pastKey);
  const core = past === undefined ? undefined : attentionCore(past);
  if (core === undefined) return `no attention reads ${pastKey}`;
  const out = nextLinear(core.context);
  if (out === undefined) return `nothing projects what the ${core.context.producer!.op} of ${pastKey} gives`;
  const found = new Map<LocatedComponent, Finding>();
  found.set("attention_value_output", origin(out.inputs[0]!));
  found.set("attention_output", origin(settled(out)));
  addProjections(core, found);
  const join = joinOf(settled(out));
  if (join === undefined) return `what the ${out.op} ${quoted(out)} gives meets no residual stream`;
  const down = linearOf(join.other);
  if (down !== undefined && down !== out) addParallel(join, down, found);
  else addSequential(join, found);
  return found;
}

interface Core {
  /** What the heads give. */
  readonly context: Value;
  /** What queries, keys and values come from; undefined where a fused op is not told apart. */
  readonly sides: readonly (Value | undefined)[];
  readonly fused: Node | undefined;
}

/** Forward from the cache to a fused attention, or to a Softmax and the product behind it. */
function attentionCore(past: Value): Core | undefined {
  const seen = new Set<Value>([past]);
  const queue = [past];
  for (let value = queue.shift(); value !== undefined && seen.size < FAR; value = queue.shift()) {
    for (const node of readersOf(value)) {
      if (fusedCores.has(node.op)) {
        const [q, k, v] = node.inputs;
        return { context: node.outputs[0]!, sides: [q, k, v], fused: node };
      }
      if (node.op === "Softmax") return primitiveCore(node);
      if (node.op === "Shape" || isLinear(node)) continue;
      for (const output of node.outputs) {
        if (!seen.has(output)) queue.push(output);
        seen.add(output);
      }
    }
  }
  return undefined;
}

function primitiveCore(softmax: Node): Core | undefined {
  const product = firstForward(softmax.outputs[0]!, afterSoftmax, (node) => node.op === "MatMul");
  const scores = firstBackward(softmax.inputs[0]!, (node) => node.op === "MatMul" || node.op === "FusedMatMul");
  if (product === undefined || scores === undefined) return undefined;
  return {
    context: product.outputs[0]!,
    sides: [scores.inputs[0], scores.inputs[1], product.inputs[1]],
    fused: undefined,
  };
}

function firstForward(from: Value, through: ReadonlySet<string>, wanted: (node: Node) => boolean): Node | undefined {
  const queue = [from];
  const seen = new Set(queue);
  for (let value = queue.shift(); value !== undefined && seen.size < FAR; value = queue.shift()) {
    for (const node of readersOf(value)) {
      if (wanted(node)) return node;
      const [output] = node.outputs;
      if (!through.has(node.op) || output === undefined || seen.has(output)) continue;
      seen.add(output);
      queue.push(output);
    }
  }
  return undefined;
}

function firstBackward(from: Value, wanted: (node: Node) => boolean): Node | undefined {
  return backward(from, (node) => wanted(node)).at(0);
}

/** The nearest nodes that a value is computed from and that are wanted, in order of distance. */
function backward(from: Value, wanted: (node: Node) => boolean): readonly Node[] {
  const found: Node[] = [];
  const queue = [from];
  const seen = new Set(queue);
  for (let value = queue.shift(); value !== undefined && seen.size < FAR; value = queue.shift()) {
    const node = value.producer;
    if (node === undefined) continue;
    if (wanted(node)) {
      if (!found.includes(node)) found.push(node);
      continue;
    }
    if (node.op === "Shape") continue;
    for (const input of firstInputOnly.has(node.op) ? node.inputs.slice(0, 1) : node.inputs) {
      if (input === undefined || seen.has(input) || isConstant(input)) continue;
      seen.add(input);
      queue.push(input);
    }
  }
  return found;
}

function nextLinear(context: Value): Node | undefined {
  return firstForward(context, aroundContext, isLinear);
}

const projections = ["query_output", "key_output", "value_output"] as const;

/** Queries, keys and values: one linear each, or parts of one that is split. */
function addProjections({ sides, fused }: Core, found: Map<LocatedComponent, Finding>): void {
  const sources = sides.map((side) => (side === undefined ? [] : backward(side, (node) => isLinear(node))));
  found.set("attention_input", inputOf([...new Set(sources.flat())]));
  projections.forEach((component, i) => {
    const [linear, ...more] = sources[i] ?? [];
    const shared = sources.some((others, j) => j !== i && others[0] === linear);
    if (linear === undefined || more.length > 0) {
      found.set(component, fused === undefined ? "was not found" : `is inside the ${fused.op} ${quoted(fused)}`);
    } else if (!shared && sides.every((side) => side !== undefined)) {
      found.set(component, origin(settled(linear)));
    } else {
      found.set(component, partOf(linear, sides[i]!));
    }
  });
}

/** What the first linear layers of attention or MLP read. */
function inputOf(linears: readonly Node[]): Finding {
  const [first] = linears;
  if (first === undefined) return "was not found";
  const read = first.inputs[0]!;
  const value = origin(read);
  if (linears.some(({ inputs }) => origin(inputs[0]!) !== value))
    return "was not found: its readers read different values";
  if (readersThroughViews(value).every(({ node }) => linears.includes(node))) return value;
  if (linears.every(({ inputs }) => inputs[0] === read)) return { value: read, by: linears };
  return `is ${value.name}, which others read, too`;
}

/** The part of a packed projection that one side of the attention reads, if it is cut along the features. */
function partOf(packed: Node, side: Value): Finding {
  const [split] = backward(side, (node) => node.op === "Split" || node === packed);
  const parts = split?.op === "Split" ? split.outputs : [];
  const part = parts.find((output) => pathTo(side, output));
  if (part !== undefined && part.shape?.length === 3 && rowWidth(part) !== undefined) return origin(part);
  return `is part of what the ${packed.op} ${quoted(packed)} gives, which holds queries, keys and values`;
}

function pathTo(from: Value, target: Value): boolean {
  const queue = [from];
  const seen = new Set(queue);
  for (let value = queue.shift(); value !== undefined && seen.size < FAR; value = queue.shift()) {
    if (value === target) return true;
    const node = value.producer;
    if (node === undefined || isLinear(node) || node.op === "Shape" || node.outputs.includes(target)) continue;
    for (const input of firstInputOnly.has(node.op) ? node.inputs.slice(0, 1) : node.inputs) {
      if (input === undefined || seen.has(input) || isConstant(input)) continue;
      seen.add(input);
      queue.push(input);
    }
  }
  return false;
}

/** Attention joins the stream, then the MLP does. */
function addSequential(join: Join, found: Map<LocatedComponent, Finding>): void {
  found.set("block_input", streamAt(join.other));
  const middle = join.sum ?? join.normed!;
  const candidates = join.normed === undefined ? [middle, ...normsOf(middle)] : [join.normed];
  const input = candidates.find((value) => linearReaders(value).length > 0);
  if (input === undefined) return;
  found.set("mlp_input", inputOf(linearReaders(input)));
  const down = downOf(linearReaders(input));
  if (down === undefined) return;
  addMlp(down, linearReaders(input), found);
  const end = joinOf(settled(down));
  if (end === undefined) return;
  addSum("block_output", end, found);
  if (join.sum === undefined) return;
  if (origin(join.sum) !== end.other)
    found.set("block_output", "was not found: the MLP joins another stream than the attention");
}

function addSum(component: "block_output", { node, sum, normed }: Join, found: Map<LocatedComponent, Finding>): void {
  found.set(component, sum === undefined || normed !== undefined ? insideOf(node) : origin(sum));
}

/** The stream at a place; a sum that a fused op hands out is not what its own norm reads, so an edit would reach half of it. */
function streamAt(value: Value): Finding {
  const { producer } = value;
  return producer !== undefined && isSkipNorm(producer) ? insideOf(producer) : value;
}

function insideOf(node: Node): string {
  return `is inside the ${node.op} ${quoted(node)}, which adds and norms in one`;
}

/** Attention and MLP read the same stream, are added to one another and then to it. */
function addParallel(join: Join, down: Node, found: Map<LocatedComponent, Finding>): void {
  const sources = backward(down.inputs[0]!, isLinear);
  found.set("mlp_input", inputOf(sources));
  addMlp(down, sources, found);
  const end = join.sum === undefined ? undefined : joinOf(join.sum);
  if (end === undefined) return;
  found.set("block_input", streamAt(end.other));
  addSum("block_output", end, found);
}

/** The next linear layer behind the first ones of an MLP, the same for all of them. */
function downOf(first: readonly Node[]): Node | undefined {
  const next = new Set(first.map((linear) => nextBehind(linear)));
  const [down] = next;
  return next.size === 1 ? down : undefined;
}

function nextBehind(linear: Node): Node | undefined {
  const queue = [...linear.outputs];
  const seen = new Set(queue);
  for (let value = queue.shift(); value !== undefined && seen.size < FAR; value = queue.shift()) {
    for (const node of readersOf(value)) {
      if (isLinear(node)) return node;
      for (const output of node.outputs) {
        if (node.op === "Shape" || seen.has(output)) continue;
        seen.add(output);
        queue.push(output);
      }
    }
  }
  return undefined;
}

function addMlp(down: Node, first: readonly Node[], found: Map<LocatedComponent, Finding>): void {
  found.set("mlp_output", origin(settled(down)));
  const input = origin(down.inputs[0]!);
  if (first.length === 1) found.set("mlp_activation", input);
  if (first.length !== 2 || input.producer?.op !== "Mul") return;
  const operands = input.producer.inputs.flatMap((operand) => (operand === undefined ? [] : [operand]));
  const activated = operands.filter((operand) => linearOf(operand) === undefined);
  if (activated.length === 1) found.set("mlp_activation", origin(activated[0]!));
}

function quoted(node: Node): string {
  return JSON.stringify(node.stored?.name ?? node.outputs[0]?.name ?? "");
}
