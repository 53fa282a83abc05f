/** Walks the graphs inside an ONNX file's nodes: the names that bodies read from around them, and every tensor anywhere. */
import type { GraphProto, Init, NodeProto, TensorProto } from "../formats/onnx/types.ts";

function bodiesOf(node: NodeProto): readonly GraphProto[] {
  return node.attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]));
}

/** Names that the bodies of a node (If, Loop, Scan) read and do not define, each once, in order of first use. */
export function capturedNames(node: NodeProto): readonly string[] {
  const free = new Set<string>();
  for (const body of bodiesOf(node)) for (const name of freeNames(body)) free.add(name);
  return [...free];
}

function freeNames(body: GraphProto): ReadonlySet<string> {
  const own = new Set([
    ...body.input.map(({ name }) => name),
    ...body.initializer.map(({ name }) => name),
    ...body.sparseInitializer.map(({ values }) => values?.name),
    ...body.node.flatMap(({ output }) => output),
  ]);
  const read = [
    ...body.node.flatMap((node) => [...node.input, ...capturedNames(node)]),
    ...body.output.map(({ name }) => name ?? ""),
  ];
  return new Set(read.filter((name) => name !== "" && !own.has(name)));
}

/** The graph with every tensor below it (initialisers, constants of nodes, bodies) replaced by what `map` makes of it. */
export function mapTensors(graph: GraphProto, map: (tensor: TensorProto) => Init<"TensorProto">): Init<"GraphProto"> {
  return {
    ...graph,
    initializer: graph.initializer.map(map),
    sparseInitializer: graph.sparseInitializer.map((sparse) => ({
      ...sparse,
      values: sparse.values === undefined ? undefined : map(sparse.values),
      indices: sparse.indices === undefined ? undefined : map(sparse.indices),
    })),
    node: graph.node.map((node) => mapNode(node, map)),
  };
}

function mapNode(node: NodeProto, map: (tensor: TensorProto) => Init<"TensorProto">): Init<"NodeProto"> {
  if (node.attribute.every(({ t, g, tensors, graphs }) => !t && !g && tensors.length + graphs.length === 0))
    return node;
  const attribute = node.attribute.map((one) => ({
    ...one,
    t: one.t === undefined ? undefined : map(one.t),
    g: one.g === undefined ? undefined : mapTensors(one.g, map),
    tensors: one.tensors.map(map),
    graphs: one.graphs.map((body) => mapTensors(body, map)),
  }));
  return { ...node, attribute };
}
