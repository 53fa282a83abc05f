/** The rules a graph must follow at all times; run after every surgery in tests and before every serialisation. */
import { VeneError } from "../base/errors.ts";
import type { Graph, Node, Value } from "./ir.ts";
import { topologicalOrder } from "./order.ts";

/**
 * 1. Every value a node reads is registered in the graph and lists that use; every listed use is real.
 * 2. Every value has exactly one origin: a graph input, a constant, or one node output; node outputs are registered.
 * 3. Graph inputs and outputs belong to the graph and are named once.
 * 4. There is no cycle.
 * Throws `graph-invalid` naming the value.
 */
export function checkGraph(graph: Graph): void {
  const inputs = new Set(graph.inputs);
  for (const value of graph.values()) checkValue(graph, value, inputs.has(value));
  const reads = new Map<Value, number>();
  for (const node of graph.nodes) checkNode(graph, node, reads);
  for (const [value, count] of reads) {
    // The uses that are listed are real ones, so it is enough to count.
    if (count !== value.uses.size)
      fail(graph, `${value.name} is read ${count} times and lists ${value.uses.size} uses`);
  }
  if (inputs.size !== graph.inputs.length) fail(graph, "an input is listed twice");
  for (const input of graph.inputs) {
    if (graph.find(input.name) !== input) fail(graph, `the input ${input.name} is not a value of the graph`);
  }
  if (new Set(graph.outputs).size !== graph.outputs.length) fail(graph, "an output is listed twice");
  for (const output of graph.outputs) {
    if (graph.find(output.name) !== output) fail(graph, `the output ${output.name} is not a value of the graph`);
  }
  topologicalOrder(graph);
}

function checkValue(graph: Graph, value: Value, isInput: boolean): void {
  const origins = Number(isInput) + Number(value.constant !== undefined) + Number(value.producer !== undefined);
  if (origins !== 1) fail(graph, `the value ${value.name} has ${origins} origins`);
  const { producer } = value;
  if (producer !== undefined && !(graph.nodes.has(producer) && producer.outputs.includes(value))) {
    fail(graph, `${value.name} comes from a removed node, or from one that does not list it`);
  }
  for (const use of value.uses) {
    if (use.node.inputs[use.index] !== value) fail(graph, `${value.name} lists a use that reads something else`);
    if (!graph.nodes.has(use.node)) fail(graph, `${value.name} lists a use by a ${use.node.op} outside the graph`);
  }
}

function checkNode(graph: Graph, node: Node, reads: Map<Value, number>): void {
  for (const output of node.outputs) {
    if (graph.find(output.name) !== output || output.producer !== node) {
      fail(graph, `a ${node.op} makes ${output.name}, which is not its value in the graph`);
    }
  }
  for (const value of node.inputs) {
    if (value === undefined) continue;
    if (graph.find(value.name) !== value) fail(graph, `a ${node.op} reads ${value.name}, which is not in the graph`);
    reads.set(value, (reads.get(value) ?? 0) + 1);
  }
}

function fail(graph: Graph, message: string): never {
  throw new VeneError("graph-invalid", `${graph.name}: ${message}`, { details: { graph: graph.name } });
}
