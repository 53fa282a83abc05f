/** The checker catches each broken rule, however it was broken. */
import { describe, expect, test } from "@jest/globals";
import { checkGraph } from "../../src/graph/check.ts";
import { Graph, Node, redirect, Value } from "../../src/graph/ir.ts";
import { chain } from "./graphs.ts";

const invalid = expect.objectContaining({ name: "VeneError", code: "graph-invalid" });

const damages: readonly (readonly [string, (parts: ReturnType<typeof chain>) => void])[] = [
  ["a use that is not listed", ({ a, b }) => a.uses.delete([...a.uses].find((use) => use.node === b.producer)!)],
  ["a listed use that reads something else", ({ a, x }) => a.uses.add({ node: a.producer!, index: 0 }) && x],
  [
    "a use by a node that is not in the graph",
    ({ a }) => a.uses.add({ node: new Node("Relu", "", [a], [], {}), index: 0 }),
  ],
  [
    "an input of a node that belongs to no graph",
    ({ b }) => redirect({ node: b.producer!, index: 0 }, new Value("z", "float32")),
  ],
  ["an input that belongs to another graph", ({ b }) => redirect({ node: b.producer!, index: 0 }, chain().a)],
  ["a value without origin", ({ a }) => Object.assign(a, { producer: undefined })],
  ["a value with two origins: input and node", ({ graph, a }) => graph.inputs.push(a)],
  ["a value with two origins: constant and node", ({ w, a }) => Object.assign(w, { producer: a.producer })],
  ["a value from a removed node", ({ graph, c }) => graph.nodes.delete(c.producer!)],
  ["a value whose producer does not know it", ({ a, b }) => Object.assign(a, { producer: b.producer })],
  [
    "a node output that the graph does not have",
    ({ graph, a }) => graph.nodes.add(new Node("Relu", "", [], [new Value("q", "float32")], {})) && a,
  ],
  ["an output listed twice", ({ graph, b }) => graph.addOutput(b)],
  ["an output that belongs to no graph", ({ graph }) => graph.addOutput(new Value("z", "float32"))],
  ["an output of another graph under a known name", ({ graph }) => graph.addOutput(chain().a)],
  ["an input listed twice", ({ graph, x }) => graph.inputs.push(x)],
  ["an input that belongs to no graph", ({ graph }) => graph.inputs.push(new Value("z", "float32", []))],
  ["a name changed behind the graph's back", ({ a }) => Object.assign(a, { name: "other" })],
  ["a cycle", ({ a, c }) => redirect([...a.producer!.inputs[0]!.uses].find((use) => use.node === a.producer)!, c)],
];

describe("checkGraph", () => {
  test("takes a sound graph", () => {
    expect(() => checkGraph(chain().graph)).not.toThrow();
    expect(() => checkGraph(new Graph("empty"))).not.toThrow();
  });

  test.each(damages)("refuses %s", (_, damage) => {
    const parts = chain();
    damage(parts);
    expect(() => checkGraph(parts.graph)).toThrow(invalid);
  });
});

describe("names", () => {
  test("are unique in a graph, whatever takes them", () => {
    const { graph, a } = chain();
    expect(() => graph.addInput("a", "float32", [])).toThrow(invalid);
    expect(() => graph.addWeight("w", [2])).toThrow(invalid);
    expect(() => graph.addNode("Relu", [a], [{ name: "b" }])).toThrow(invalid);
    expect(() => graph.rename(a, "b")).toThrow(invalid);
    expect(() => checkGraph(graph)).not.toThrow();
  });

  test("a free name starts with what was wished for", () => {
    const { graph, a } = chain();
    expect([graph.freeName("new"), graph.freeName("a")]).toEqual(["new", "a.1"]);
    graph.rename(a, "a.1");
    expect([graph.find("a"), graph.find("a.1"), graph.freeName("a.1")]).toEqual([undefined, a, "a.1.1"]);
  });
});
