/** `vene inspect` of .onnx files: decoders with their components by the file's names, other graphs with what they take. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { file, node, typed } from "../graph/onnx-files.ts";
import { fixture } from "../support/fixtures.ts";
import { scratch, vene, veneJson } from "./terminal.ts";

test("a decoder", async () => {
  const { code, json } = await veneJson(["inspect", fixture("exports", "opt-ts.onnx")]);
  expect(code).toBe(0);
  expect(json).toMatchObject({
    is: "model",
    family: "onnx",
    layers: 4,
    hiddenSize: 32,
    vocabularySize: 96,
    inputs: null,
  });
  const output = json.components.find(({ component }: { component: string }) => component === "mlp_output");
  expect(output).toMatchObject({ width: 32, heads: null, readOnly: false });
  expect(output.value).toMatch(/^\/model\/.*\/layers\.0\/fc2\//);
});

test("a graph that takes tensors", async () => {
  const path = join(scratch(), "relu.onnx");
  writeFileSync(
    path,
    file({ node: [node("Relu", ["x"], ["y"])], input: [typed("x", ["n", 3])], output: [typed("y", ["n", 3])] }),
  );
  const { out } = await vene(["inspect", path]);
  expect(out).toMatch(/^takes: +x: float32 \[n, 3\]$/m);
  expect(out).not.toContain("vocabulary");
  const { json } = await veneJson(["inspect", path]);
  expect(json.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["n", 3] }]);
});
