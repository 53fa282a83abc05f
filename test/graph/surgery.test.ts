/** Splicing behind a value: every reader sees the change, names keep their place, and the graph stays sound. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkGraph } from "../../src/graph/check.ts";
import type { Graph, Value } from "../../src/graph/ir.ts";
import { topologicalOrder } from "../../src/graph/order.ts";
import { spliceAfter } from "../../src/graph/surgery.ts";
import { chain, randomGraph, recipes } from "./graphs.ts";

const through = (graph: Graph, op: string) => (value: Value) =>
  graph.addNode(op, [value], [{ name: graph.freeName(op.toLowerCase()) }]).outputs[0]!;

/** Ops from a value back to where it comes from, along first inputs. */
function lineage(value: Value): readonly string[] {
  const node = value.producer;
  if (node === undefined) return [value.name];
  return [node.op, ...lineage(node.inputs[0]!)];
}

describe("spliceAfter", () => {
  test("redirects every reader and the graph output, and hands on the name", () => {
    const { graph, a, b, c } = chain();
    const spliced = spliceAfter(graph, b, through(graph, "Neg"));
    expect([spliced.name, b.name, graph.find("b")]).toEqual(["b", "b.raw", spliced]);
    expect(c.producer!.inputs).toEqual([spliced, a]);
    expect(graph.outputs).toEqual([spliced, c]);
    expect([...b.uses].map((use) => use.node.op)).toEqual(["Neg"]);
    checkGraph(graph);
  });

  test("two splices at one place apply one after the other, in the order they were made", () => {
    const { graph, b, c } = chain();
    spliceAfter(graph, b, through(graph, "First"));
    spliceAfter(graph, graph.find("b")!, through(graph, "Second"));
    expect(lineage(c)).toEqual(["Mul", "Second", "First", "Relu", "Add", "x"]);
    expect(lineage(graph.outputs[0]!)).toEqual(["Second", "First", "Relu", "Add", "x"]);
    expect(["b", "b.raw", "b.raw.1"].map((name) => lineage(graph.find(name)!)[0])).toEqual(["Second", "Relu", "First"]);
    checkGraph(graph);
  });

  test("a value that one node reads twice is redirected twice", () => {
    const { graph, a } = chain();
    const square = graph.addNode("Mul", [a, a], [{ name: "square" }]);
    const spliced = spliceAfter(graph, a, through(graph, "Neg"));
    expect(square.inputs).toEqual([spliced, spliced]);
    checkGraph(graph);
  });

  test("the nodes spliced in may read the value several times, and the graph's other values", () => {
    const { graph, w, b } = chain();
    const spliced = spliceAfter(graph, b, (value) => {
      const scaled = graph.addNode("Mul", [value, w], [{ name: "scaled" }]).outputs[0]!;
      return graph.addNode("Add", [scaled, value], [{ name: "sum" }]).outputs[0]!;
    });
    expect(spliced.producer!.inputs[1]).toBe(b);
    checkGraph(graph);
  });

  test("a build that returns its argument changes nothing", () => {
    const { graph, a, b } = chain();
    expect(spliceAfter(graph, a, (value) => value)).toBe(a);
    expect([a.name, b.producer!.inputs[0], graph.nodes.size]).toEqual(["a", a, 3]);
    checkGraph(graph);
  });

  test("behind a graph input the input keeps its name, since callers feed it by name", () => {
    const { graph, x, a } = chain();
    const spliced = spliceAfter(graph, x, through(graph, "Neg"));
    expect([x.name, graph.inputs[0], a.producer!.inputs[0]]).toEqual(["x", x, spliced]);
    checkGraph(graph);
  });

  test("constants and weights are not activations", () => {
    const { graph, w } = chain();
    const weight = graph.addWeight("weight", [2]);
    for (const value of [w, weight]) {
      expect(() => spliceAfter(graph, value, through(graph, "Neg"))).toThrow(
        expect.objectContaining({ code: "graph-invalid", message: expect.stringContaining(value.name) }),
      );
    }
    expect(graph.nodes.size).toBe(3);
  });
});

describe("any graph", () => {
  test("stays sound under any splices, and names keep meaning the same places", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const graph = randomGraph(recipe);
        checkGraph(graph);
        const outputs = graph.outputs.map((value) => value.name);
        const made = [...graph.values()].filter((value) => value.producer !== undefined);
        const places = new Map(made.map((value) => [value.name, { value, splices: 0 }]));
        for (const [i, pick] of recipe.splices.entries()) {
          const [name, place] = [...places][pick % places.size]!;
          spliceAfter(graph, graph.find(name)!, through(graph, `Splice${i}`));
          place.splices++;
          checkGraph(graph);
        }
        expect(graph.outputs.map((value) => value.name)).toEqual(outputs);
        for (const [name, { value, splices }] of places) {
          let found = graph.find(name)!;
          for (let i = 0; i < splices; i++) found = found.producer!.inputs[0]!;
          expect(found).toBe(value);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("is ordered so that everything is computed before it is read, stably", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const graph = randomGraph(recipe);
        const order = topologicalOrder(graph);
        expect(new Set(order)).toEqual(graph.nodes);
        const at = new Map(order.map((node, i) => [node, i]));
        for (const node of order) {
          for (const value of node.inputs) {
            if (value?.producer !== undefined) expect(at.get(value.producer)!).toBeLessThan(at.get(node)!);
          }
        }
        expect(topologicalOrder(graph)).toEqual(order);
      }),
      { numRuns: 200 },
    );
  });
});

describe("topologicalOrder", () => {
  test("keeps the order of insertion where nothing forbids it", () => {
    const { graph, x } = chain();
    const side = graph.addNode("Side", [x], [{ name: "side" }]);
    expect(topologicalOrder(graph).map((node) => node.op)).toEqual(["Add", "Side", "Relu", "Mul"]);
    expect(topologicalOrder(graph)).toContain(side);
  });

  test("moves a node that was added late before its readers", () => {
    const { graph, a } = chain();
    spliceAfter(graph, a, through(graph, "Late"));
    expect(topologicalOrder(graph).map((node) => node.op)).toEqual(["Add", "Late", "Relu", "Mul"]);
  });
});
