/** Nodes sorted so that every value is computed before it is read. */
import { VeneError } from "../base/errors.ts";
import type { Graph, Node } from "./ir.ts";

/** Kahn's algorithm, stable with respect to insertion order. Throws `graph-invalid` on a cycle. */
export function topologicalOrder(graph: Graph): Node[] {
  const waiting = new Map<Node, number>();
  const ready: Node[] = [];
  for (const node of graph.nodes) {
    const producers = new Set(node.inputs.map((value) => value?.producer).filter((producer) => producer !== undefined));
    waiting.set(node, producers.size);
    if (producers.size === 0) ready.push(node);
  }
  const order: Node[] = [];
  for (let i = 0; i < ready.length; i++) {
    const node = ready[i]!;
    order.push(node);
    const readers = new Set(node.outputs.flatMap((value) => [...value.uses].map((use) => use.node)));
    for (const reader of readers) {
      const left = waiting.get(reader)! - 1;
      waiting.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  if (order.length !== graph.nodes.size) {
    throw new VeneError("graph-invalid", `the graph ${graph.name} has a cycle`, {
      details: { ordered: order.length, nodes: graph.nodes.size },
    });
  }
  return order;
}
