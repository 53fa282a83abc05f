/** What is serialised decodes to the same nodes, with weights left in their files and every attribute of its type. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Tensor } from "../../src/base/tensor.ts";
import { decodeModel } from "../../src/formats/onnx/codec.ts";
import { attributeTypes, dataLocations } from "../../src/formats/onnx/messages.ts";
import { Body, Float, Graph, type Value } from "../../src/graph/ir.ts";
import { topologicalOrder } from "../../src/graph/order.ts";
import { serialiseGraph } from "../../src/graph/serialise.ts";
import { spliceAfter } from "../../src/graph/surgery.ts";
import { chain, randomGraph, recipes } from "./graphs.ts";

const nowhere = () => {
  throw new Error("no weight to locate");
};

function decoded(graph: Graph, locate: Parameters<typeof serialiseGraph>[1] = nowhere) {
  const model = decodeModel(serialiseGraph(graph, locate));
  return { model, graph: model.graph! };
}

/** Inputs left out at the end are not written. */
function withoutTrailing(names: readonly string[]): readonly string[] {
  return names.slice(0, names.findLastIndex((name) => name !== "") + 1);
}

describe("serialiseGraph", () => {
  test("any graph decodes to its nodes in topological order", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const graph = randomGraph(recipe);
        const { graph: found } = decoded(graph);
        const expected = topologicalOrder(graph).map((node) => ({
          op: node.op,
          domain: "test",
          input: withoutTrailing(node.inputs.map((value) => value?.name ?? "")),
          output: node.outputs.map((value) => value.name),
        }));
        const nodes = found.node.map(({ opType, domain, input, output }) => ({ op: opType, domain, input, output }));
        expect(nodes).toEqual(expected);
        expect(found.output.map(({ name }) => name)).toEqual(graph.outputs.map(({ name }) => name));
        expect(found.input.map(({ name }) => name)).toEqual(graph.inputs.map(({ name }) => name));
        expect(new Set(found.node.map(({ name }) => name)).size).toBe(found.node.length);
      }),
      { numRuns: 100 },
    );
  });

  test("says which versions it is written for", () => {
    const { model } = decoded(chain().graph);
    expect([model.irVersion, model.producerName]).toEqual([11n, "vene"]);
    expect(model.opsetImport).toEqual([
      { domain: "", version: 23n },
      { domain: "com.microsoft", version: 1n },
    ]);
  });

  test("keeps dtypes and shapes of inputs and outputs, numbers, names and unknown ranks apart", () => {
    const graph = new Graph("typed");
    const ids = graph.addInput("ids", "int64", ["batch", 7]);
    const scalar = graph.addInput("scalar", "bool", []);
    const [out] = graph.addNode("Op", [ids, scalar], [{ name: "out", dtype: "float16" }]).outputs;
    graph.addOutput(out!);
    const { graph: found } = decoded(graph);
    expect(found.input.map(({ type }) => type!.tensorType!.elemType)).toEqual([7, 9]);
    expect(found.input[0]!.type!.tensorType!.shape!.dim).toEqual([{ dimParam: "batch" }, { dimValue: 7n }]);
    expect(found.input[1]!.type!.tensorType!.shape!.dim).toEqual([]);
    expect(found.output[0]!.type!.tensorType).toEqual({ elemType: 10 });
  });

  test("weights are references: file, offset and length, and no bytes", () => {
    const graph = new Graph("weights");
    const x = graph.addInput("x", "float32", ["n", 3]);
    const w = graph.addWeight("model.w", [4, 3]);
    graph.addWeight("unused", [9]);
    graph.addOutput(graph.addNode("Gemm", [x, w], [{ name: "y" }], { transB: 1 }).outputs[0]!);
    const asked: string[] = [];
    const { graph: found } = decoded(graph, (weight) => {
      asked.push(weight);
      return { location: "shard-2.safetensors", offset: 2 ** 33 + 8, length: 48 };
    });
    expect(asked).toEqual(["model.w"]);
    expect(found.initializer.length).toBe(1);
    expect(found.initializer[0]).toMatchObject({
      name: "model.w",
      dims: BigInt64Array.of(4n, 3n),
      dataType: 1,
      dataLocation: dataLocations.external,
      externalData: [
        { key: "location", value: "shard-2.safetensors" },
        { key: "offset", value: "8589934600" },
        { key: "length", value: "48" },
      ],
    });
    expect(found.initializer[0]!.rawData).toBeUndefined();
  });

  test("constants travel inside, whatever their dtype, and unread ones are left out", () => {
    const graph = new Graph("constants");
    const half = Tensor.float32([2, 1], [1.5, -2]).to("float16");
    const kept = [graph.addConstant("half", half), graph.addConstant("big", Tensor.int64([], [-5]))];
    graph.addConstant("unread", half);
    graph.addOutput(graph.addNode("Op", kept, [{ name: "y" }]).outputs[0]!);
    const { graph: found } = decoded(graph);
    expect(found.initializer.map(({ name }) => name)).toEqual(["half", "big"]);
    expect([...found.initializer[0]!.rawData!]).toEqual([...half.bytes]);
    expect([found.initializer[0]!.dataType, found.initializer[1]!.dataType]).toEqual([10, 7]);
    expect(found.initializer[1]!.dims.length).toBe(0);
  });

  test("attributes keep their types: a whole number is an int unless wrapped", () => {
    const graph = new Graph("attributes");
    const x = graph.addInput("x", "float32", []);
    const attributes = {
      int: 3,
      big: 2n ** 60n,
      float: new Float(2),
      text: "tanh",
      ints: [1, -2],
      bigs: [5n],
      texts: ["a", "é"],
      tensor: Tensor.float32([1], [7]),
    };
    graph.addOutput(graph.addNode("Op", [x], [{ name: "y" }], attributes).outputs[0]!);
    const found = new Map(decoded(graph).graph.node[0]!.attribute.map((attribute) => [attribute.name, attribute]));
    expect(found.get("int")).toMatchObject({ type: attributeTypes.int, i: 3n });
    expect(found.get("big")).toMatchObject({ type: attributeTypes.int, i: 2n ** 60n });
    expect(found.get("float")).toMatchObject({ type: attributeTypes.float, f: 2 });
    expect(Buffer.from(found.get("text")!.s!).toString()).toBe("tanh");
    expect([...found.get("ints")!.ints]).toEqual([1n, -2n]);
    expect([...found.get("bigs")!.ints]).toEqual([5n]);
    expect(found.get("texts")!.strings.map((bytes) => Buffer.from(bytes).toString())).toEqual(["a", "é"]);
    expect(found.get("tensor")!.t).toMatchObject({ dataType: 1, dims: BigInt64Array.of(1n) });
  });

  test("a body reads what it captures by the name it has outside, whatever that has become", () => {
    const { graph, x, a, w } = chain();
    const body = new Graph("body");
    const [state, slice, outer] = ["state", "slice", "outer"].map((name) => body.addInput(name, "float32", [2])) as [
      Value,
      Value,
      Value,
    ];
    const next = body.addNode("Add", [state, slice], [{ name: "next" }]).outputs[0]!;
    body.addOutput(next);
    body.addOutput(body.addNode("Mul", [next, outer], [{ name: "shown" }]).outputs[0]!);
    const attributes = { num_scan_inputs: 1, body: new Body(body, 1) };
    const scan = graph.addNode("Scan", [w, x, a], [{ name: "last" }, { name: "all" }], attributes);
    graph.addOutput(scan.outputs[1]!);
    spliceAfter(graph, a, (value) => graph.addNode("Neg", [value], [{ name: "negated" }]).outputs[0]!);
    graph.rename(graph.find("a")!, "renamed");
    const { node } = decoded(graph).graph;
    const found = node.find(({ opType }) => opType === "Scan")!;
    expect(found.input).toEqual(["w", "x"]);
    expect(node.findIndex(({ output }) => output.includes("renamed"))).toBeLessThan(node.indexOf(found));
    const inner = found.attribute.find(({ name }) => name === "body")!;
    expect(inner.type).toBe(attributeTypes.graph);
    expect(inner.g!.input.map(({ name }) => name)).toEqual(["state", "slice"]);
    expect(inner.g!.node.map(({ opType, input }) => [opType, ...input])).toEqual([
      ["Add", "state", "slice"],
      ["Mul", "next", "renamed"],
    ]);
    expect(inner.g!.output.map(({ name }) => name)).toEqual(["next", "shown"]);
  });

  test("a broken body is refused as a broken graph is", () => {
    const { graph, x } = chain();
    const body = new Graph("body");
    const inner = body.addInput("inner", "float32", [2]);
    body.addOutput(inner);
    body.addOutput(inner);
    graph.addNode("Loop", [x], [{ name: "looped" }], { body: new Body(body, 0) });
    expect(() => serialiseGraph(graph, nowhere)).toThrow(expect.objectContaining({ code: "graph-invalid" }));
  });

  test("refuses a fraction that would become an int, and a broken graph", () => {
    const graph = new Graph("fraction");
    const x = graph.addInput("x", "float32", []);
    graph.addNode("Op", [x], [{ name: "y" }], { epsilon: 1e-6 });
    const invalid = expect.objectContaining({ code: "graph-invalid" });
    expect(() => serialiseGraph(graph, nowhere)).toThrow(invalid);
    const parts = chain();
    parts.graph.outputs.push(parts.b);
    expect(() => serialiseGraph(parts.graph, nowhere)).toThrow(invalid);
  });
});
