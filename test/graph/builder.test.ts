/** The builder: names that never clash, constants that are shared, splits of one. */
import { describe, expect, test } from "@jest/globals";
import { Builder } from "../../src/graph/builder.ts";
import { checkGraph } from "../../src/graph/check.ts";
import { Graph } from "../../src/graph/ir.ts";

function start() {
  const graph = new Graph("built");
  const builder = new Builder(graph);
  return { graph, builder, x: graph.addInput("x", "float32", ["rows", 6]) };
}

describe("Builder", () => {
  test("a name that is taken gets a number, in one node's outputs, too", () => {
    const { graph, builder, x } = start();
    const names = [1, 2, 3].map(() => builder.op("Relu", "y", [x]).name);
    expect(names).toEqual(["y", "y.1", "y.2"]);
    const pieces = builder.ops("Split", ["z", "z", "z"], [x]).map(({ name }) => name);
    expect(new Set(pieces).size).toBe(3);
    const again = builder.ops("Split", ["z", "z", "y"], [x]).map(({ name }) => name);
    expect(new Set([...pieces, ...again, ...names]).size).toBe(9);
    checkGraph(graph);
  });

  test("equal constants are one value; scalars, lists and floats are told apart", () => {
    const { builder } = start();
    expect(builder.int64([1, 2])).toBe(builder.int64([1, 2]));
    expect(builder.scalar(1)).toBe(builder.scalar(1));
    const distinct = new Set([
      builder.int64([1]),
      builder.int64([1], true),
      builder.scalar(1),
      builder.int64([1, 2]),
      builder.int64([12]),
    ]);
    expect(distinct.size).toBe(5);
    expect(builder.int64([4], true).shape).toEqual([]);
  });

  test("splitting into one piece needs no Split", () => {
    const { graph, builder, x } = start();
    expect(builder.split(["all"], x, [6], 1)[0]!.producer!.op).toBe("Identity");
    const parts = builder.split(["a", "b"], x, [2, 4], 1);
    expect(parts.map((part) => part.producer!.op)).toEqual(["Split", "Split"]);
    checkGraph(graph);
  });

  test("dtypes follow the data", () => {
    const { builder } = start();
    const ids = builder.int64([1, 2]);
    expect(
      [builder.reshape("r", ids, [2]), builder.identity("i", ids), builder.concat("c", [ids, ids], 0)].map(
        ({ dtype }) => dtype,
      ),
    ).toEqual(["int64", "int64", "int64"]);
  });
});
