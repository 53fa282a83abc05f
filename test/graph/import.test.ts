import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bytesOf } from "../../src/base/tensor.ts";
import { decodeModel } from "../../src/formats/onnx/codec.ts";
import type { Init } from "../../src/formats/onnx/types.ts";
import { Builder } from "../../src/graph/builder.ts";
import { importGraph, opsetOf } from "../../src/graph/import.ts";
import { detached, externalRanges, withoutWeights } from "../../src/graph/import-weights.ts";
import type { Graph } from "../../src/graph/ir.ts";
import { serialiseGraph } from "../../src/graph/serialise.ts";
import { spliceAfter } from "../../src/graph/surgery.ts";
import { type Feeds, Session } from "../../src/runtime/ort.ts";
import { body, elsewhere, file, node, typed, weights } from "./onnx-files.ts";

const exportsFolder = new URL("../fixtures/exports/", import.meta.url).pathname;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-import-"));
});

afterAll(() => rm(folder, { recursive: true }));

const noWeights = () => {
  throw new Error("an imported graph refers to no checkpoint");
};

async function run(bytes: Uint8Array, weightsFolder: string, feeds: Feeds, fetches: readonly string[]) {
  const session = await Session.create(bytes, { weightsFolder });
  const results = await session.run(feeds, fetches);
  await session.release();
  return fetches.map((name) => Buffer.from(bytesOf(results[name]!.data)).toString("hex"));
}

/** The model of a file in a folder, imported, changed and exported again. */
async function reexported(name: string, at: string, change: (graph: Graph) => void = () => {}): Promise<Uint8Array> {
  const bytes = await readFile(join(at, name));
  const model = detached(decodeModel(bytes), bytes, name);
  const graph = importGraph(model);
  change(graph);
  return serialiseGraph(graph, noWeights, model);
}

function decoderFeeds(layers: number, heads: number, size: number): Feeds {
  const ids = [5, 17, 80, 3, 44];
  const int64 = (values: readonly number[]) => ({ dtype: "int64", data: BigInt64Array.from(values, BigInt) }) as const;
  const feeds: Record<string, Feeds[string]> = {
    input_ids: { ...int64(ids), shape: [1, 5] },
    attention_mask: { ...int64([1, 1, 1, 1, 1, 1, 1]), shape: [1, 7] },
    position_ids: { ...int64([2, 3, 4, 5, 6]), shape: [1, 5] },
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"]) {
      const data = Float32Array.from({ length: heads * 2 * size }, (_, i) => Math.sin(i + layer));
      feeds[`past_key_values.${layer}.${part}`] = { dtype: "float32", data, shape: [1, heads, 2, size] };
    }
  }
  return feeds;
}

describe("an imported model, exported again", () => {
  test.each(["opt-ts.onnx", "opt-dy.onnx"])("%s gives the same bits, in a graph without weights", async (name) => {
    const fetches = ["logits", "present.3.key", "present.3.value"];
    const original = await readFile(join(exportsFolder, name));
    const again = await reexported(name, exportsFolder);
    const largest = Math.max(...decodeModel(again).graph!.initializer.map(({ rawData }) => rawData?.length ?? 0));
    expect(largest).toBeLessThanOrEqual(1024);
    const { dataLocation } = decodeModel(again).graph!.initializer.find(({ dims }) => dims[0] === 96n)!;
    expect(dataLocation).toBe(1);
    const feeds = decoderFeeds(4, 4, 8);
    expect(await run(again, exportsFolder, feeds, fetches)).toEqual(await run(original, exportsFolder, feeds, fetches));
  });

  test("weights beside the file are read where they lie", async () => {
    await writeFile(join(folder, "w.data"), bytesOf(Float32Array.from([9, 9, 1, 2, 3, 4, 9])));
    const w = elsewhere("w", [2, 2], { location: "w.data", offset: "8", length: "16" });
    const bytes = file({
      node: [node("MatMul", ["x", "w"], ["y"])],
      initializer: [w],
      input: [typed("x", ["n", 2])],
      output: [typed("y", ["n", 2])],
    });
    expect(externalRanges(decodeModel(bytes))).toEqual([{ location: "w.data", offset: 8, length: 16 }]);
    await writeFile(join(folder, "m.onnx"), bytes);
    const feeds: Feeds = { x: { dtype: "float32", data: Float32Array.from([1, 10]), shape: [1, 2] } };
    const [y] = await run(await reexported("m.onnx", folder), folder, feeds, ["y"]);
    expect(y).toBe(Buffer.from(bytesOf(Float32Array.from([31, 42]))).toString("hex"));
  });

  test("bodies read values of the graph around them, edits included", async () => {
    const branch = (op: string): Init<"GraphProto"> => ({
      name: op,
      node: [node(op, ["h", "k"], [`${op}.y`])],
      initializer: [weights("k", [1], [100])],
      output: [typed(`${op}.y`, ["n"])],
    });
    const bytes = file({
      node: [
        node("Relu", ["x"], ["h"]),
        node("If", ["c"], ["y"], [body("then_branch", branch("Add")), body("else_branch", branch("Mul"))]),
      ],
      input: [typed("x", ["n"]), typed("c", [], 9)],
      output: [typed("y", ["n"])],
    });
    await writeFile(join(folder, "if.onnx"), bytes);
    const feeds = (c: number): Feeds => ({
      x: { dtype: "float32", data: Float32Array.from([-1, 2]), shape: [2] },
      c: { dtype: "bool", data: Uint8Array.of(c), shape: [] },
    });
    for (const c of [0, 1]) {
      const plain = await run(bytes, folder, feeds(c), ["y"]);
      expect(await run(await reexported("if.onnx", folder), folder, feeds(c), ["y"])).toEqual(plain);
    }
    const edited = await reexported("if.onnx", folder, (graph) => {
      const builder = new Builder(graph);
      spliceAfter(graph, graph.find("h")!, (h) => builder.add("one more", h, builder.scalar(1)));
    });
    const [y] = await run(edited, folder, feeds(0), ["y"]);
    expect(y).toBe(Buffer.from(bytesOf(Float32Array.from([100, 300]))).toString("hex"));
  });

  test("functions, domains, unknown fields and outputs left out are kept", async () => {
    const bytes = file(
      {
        node: [
          { ...node("Twice", ["x"], ["t"], [], "mine"), metadataProps: [{ key: "scope", value: "layer.0" }] },
          node("LayerNormalization", ["t", "ones"], ["a", "", "b"]),
        ],
        initializer: [weights("ones", [3], [1, 1, 1])],
        input: [typed("x", [3])],
        output: [typed("b", [1])],
        unknown: [Uint8Array.of(0xa0, 0x06, 0x01)],
      },
      {
        opsetImport: [
          { domain: "", version: 18n },
          { domain: "mine", version: 1n },
        ],
        functions: [
          {
            name: "Twice",
            domain: "mine",
            input: ["a"],
            output: ["z"],
            node: [node("Add", ["a", "a"], ["z"])],
            opsetImport: [{ domain: "", version: 18n }],
          },
        ],
      },
    );
    await writeFile(join(folder, "f.onnx"), bytes);
    const again = await reexported("f.onnx", folder);
    const model = decodeModel(again);
    expect(opsetOf(model)).toBe(18);
    expect(model.functions.map(({ name }) => name)).toEqual(["Twice"]);
    expect(model.graph!.node[0]!.metadataProps[0]!.value).toBe("layer.0");
    expect(model.graph!.node[1]!.output).toEqual(["a", "", "b"]);
    expect(model.graph!.unknown).toEqual([Uint8Array.of(0xa0, 0x06, 0x01)]);
    const feeds: Feeds = { x: { dtype: "float32", data: Float32Array.from([1, 2, 3]), shape: [3] } };
    expect(await run(again, folder, feeds, ["b"])).toEqual(await run(bytes, folder, feeds, ["b"]));
  });

  test("an initialiser that is also listed as an input needs no feed, in files older than IR 4", async () => {
    const bytes = file(
      {
        node: [node("Add", ["x", "w"], ["y"])],
        initializer: [weights("w", [1], [5])],
        input: [typed("x", [1]), typed("w", [1])],
        output: [typed("y", [1])],
      },
      { irVersion: 3n, opsetImport: [{ domain: "", version: 9n }] },
    );
    await writeFile(join(folder, "old.onnx"), bytes);
    const feeds: Feeds = { x: { dtype: "float32", data: Float32Array.of(2), shape: [1] } };
    const again = await reexported("old.onnx", folder);
    expect(await run(again, folder, feeds, ["y"])).toEqual(await run(bytes, folder, feeds, ["y"]));
  });
});

describe("refused with onnx-invalid", () => {
  const x = typed("x", [2]);
  const imported = (graph: Init<"GraphProto">) => importGraph(decodeModel(file(graph)));
  test.each<[string, Init<"GraphProto">]>([
    ["a value computed twice", { node: [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])], input: [x] }],
    ["an input that hides a node's output", { node: [node("Relu", ["x"], ["x"])], input: [x] }],
    ["a value that nothing computes", { node: [node("Relu", ["ghost"], ["y"])], input: [x] }],
    ["an output that nothing computes", { input: [x], output: [typed("y", [2])] }],
    [
      "a body that reads what nothing computes",
      {
        node: [node("If", ["x"], ["y"], [body("then_branch", { node: [node("Relu", ["ghost"], ["z"])] })])],
        input: [x],
      },
    ],
    ["a cycle", { node: [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], input: [x] }],
    [
      "an output listed twice",
      { node: [node("Relu", ["x"], ["y"])], input: [x], output: [typed("y", [2]), typed("y", [2])] },
    ],
    ["a value without a name", { input: [typed("", [1])] }],
    ["a sparse initialiser", { input: [x], sparseInitializer: [{ values: weights("s", [1], [1]), dims: [2n] }] }],
  ])("%s", (_, graph) => {
    expect(() => imported(graph)).toThrow(expect.objectContaining({ code: "onnx-invalid" }));
  });

  test("no graph at all", () => {
    expect(() => importGraph(decodeModel(Uint8Array.of()))).toThrow(expect.objectContaining({ code: "onnx-invalid" }));
  });

  test.each<[string, Record<string, string>]>([
    ["a step upwards", { location: "../secret" }],
    ["a step upwards inside", { location: "a/../../secret" }],
    ["an absolute path", { location: "/etc/passwd" }],
    ["a drive", { location: "C:secret" }],
    ["a backslash", { location: "..\\secret" }],
    ["a zero byte", { location: "a\0b" }],
    ["no location", { offset: "0" }],
    ["a negative offset", { location: "w", offset: "-4" }],
    ["an offset that is no number", { location: "w", offset: "0x10" }],
    ["an offset beyond all files", { location: "w", offset: "99999999999999999999" }],
    ["a length that is not the shape's", { location: "w", length: "4" }],
  ])("external data with %s, in the graph and in a body", (_, entries) => {
    const w = elsewhere("w", [2], entries);
    const inside = { node: [node("If", ["x"], ["y"], [body("then_branch", { initializer: [w] })])] };
    for (const graph of [{ initializer: [w] }, inside]) {
      const bytes = file(graph);
      expect(() => externalRanges(decodeModel(bytes))).toThrow(expect.objectContaining({ code: "onnx-invalid" }));
      expect(() => withoutWeights(decodeModel(bytes), bytes, "m.onnx")).toThrow(
        expect.objectContaining({ code: "onnx-invalid" }),
      );
    }
  });
});
