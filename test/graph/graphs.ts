/** Small graphs to test with: a fixed chain, and random ones drawn by fast-check. */
import fc from "fast-check";
import { Tensor } from "../../src/base/tensor.ts";
import { Graph, type Value } from "../../src/graph/ir.ts";

/** x -> Add(x, w) = a -> Relu = b -> Mul(b, a) = c, with b and c as outputs. */
export function chain(): { graph: Graph; x: Value; w: Value; a: Value; b: Value; c: Value } {
  const graph = new Graph("chain");
  const x = graph.addInput("x", "float32", ["rows", 2]);
  const w = graph.addConstant("w", Tensor.float32([2], [1, -3]));
  const a = graph.addNode("Add", [x, w], [{ name: "a" }]).outputs[0]!;
  const b = graph.addNode("Relu", [a], [{ name: "b" }]).outputs[0]!;
  const c = graph.addNode("Mul", [b, a], [{ name: "c" }]).outputs[0]!;
  graph.addOutput(b);
  graph.addOutput(c);
  return { graph, x, w, a, b, c };
}

/** Numbers that a recipe reads as choices: one list per node says which earlier values it reads. */
export const recipes = fc.record({
  inputs: fc.integer({ min: 1, max: 3 }),
  constants: fc.integer({ min: 0, max: 2 }),
  nodes: fc.array(
    fc.record({ reads: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), outputs: fc.integer({ min: 1, max: 3 }) }),
    { minLength: 1, maxLength: 25 },
  ),
  outputs: fc.uniqueArray(fc.nat({ max: 50 }), { minLength: 1, maxLength: 4 }),
  splices: fc.array(fc.nat(), { maxLength: 8 }),
});

export type Recipe = typeof recipes extends fc.Arbitrary<infer R> ? R : never;

/** A graph without cycles: nodes read earlier values, sometimes leave an input out, and may have readers, outputs or neither. */
export function randomGraph(recipe: Recipe): Graph {
  const graph = new Graph("random");
  const values: Value[] = [];
  for (let i = 0; i < recipe.inputs; i++) values.push(graph.addInput(`in.${i}`, "float32", ["n"]));
  for (let i = 0; i < recipe.constants; i++) values.push(graph.addConstant(`k.${i}`, Tensor.float32([1], [i])));
  recipe.nodes.forEach(({ reads, outputs }, n) => {
    const inputs = reads.map((pick, i) => (i > 0 && pick % 7 === 0 ? undefined : values[pick % values.length]));
    const names = Array.from({ length: outputs }, (_, o) => ({ name: `n${n}.${o}` }));
    values.push(...graph.addNode(`Op${n % 5}`, inputs, names, {}, "test").outputs);
  });
  const made = values.filter((value) => value.producer !== undefined);
  for (const value of new Set(recipe.outputs.map((pick) => made[pick % made.length]!))) graph.addOutput(value);
  return graph;
}
