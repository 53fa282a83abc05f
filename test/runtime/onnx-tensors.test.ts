/** Any .onnx file by the names of its values: a small MLP and a small CNN, forward, patch, collect; against plain JS. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { file, ints, node, typed, weights } from "../graph/onnx-files.ts";

let folder: string;
let mlp: Model;
let cnn: Model;

const w1 = [1, -2, 0.5, 3, 1, 1];
const w2 = [1, 2, -1, 0.5, 2, -3];
const kernel = [0.5, -1, 2, 1];

function mlpFile(): Uint8Array {
  return file({
    node: [
      node("MatMul", ["x", "w1"], ["/fc1/out"]),
      node("Relu", ["/fc1/out"], ["/act"]),
      node("MatMul", ["/act", "w2"], ["logits"]),
      node("ArgMax", ["logits"], ["best"]),
    ],
    initializer: [weights("w1", [2, 3], w1), weights("w2", [3, 2], w2)],
    input: [typed("x", ["n", 2])],
    output: [typed("best", ["n", 1], 7), typed("logits", ["n", 2])],
  });
}

/** [n, 1, 3, 3] -> Conv 2x2 -> [n, 1, 2, 2] -> Relu -> Flatten -> [n, 4] */
function cnnFile(): Uint8Array {
  return file({
    node: [
      node("Conv", ["image", "kernel"], ["/conv"], [ints("kernel_shape", [2, 2])]),
      node("Relu", ["/conv"], ["/relu"]),
      node("Flatten", ["/relu"], ["features"]),
    ],
    initializer: [weights("kernel", [1, 1, 2, 2], kernel)],
    input: [typed("image", ["n", 1, 3, 3])],
    output: [typed("features", ["n", 4])],
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-tensors-"));
  await writeFile(join(folder, "mlp.onnx"), mlpFile());
  await writeFile(join(folder, "cnn.onnx"), cnnFile());
  mlp = await loadModel(join(folder, "mlp.onnx"), { threads: 1 });
  cnn = await loadModel(join(folder, "cnn.onnx"), { threads: 1 });
});

afterAll(async () => {
  await mlp.release();
  await cnn.release();
  await rm(folder, { recursive: true });
});

const matmul = (x: readonly number[], w: readonly number[], columns: number) =>
  Array.from({ length: columns }, (_, c) => x.reduce((sum, v, r) => sum + v * w[r * columns + c]!, 0));
const hidden = (x: readonly number[]) => matmul(x, w1, 3).map((v) => Math.max(0, v));
const answer = (h: readonly number[]) => matmul(h, w2, 2);
const batch = (rows: readonly (readonly number[])[]) => ({
  tensors: { x: Tensor.float32([rows.length, 2], rows.flat()) },
});
const numbers = (tensor: Tensor) => [...tensor.toFloat32()];

const rows = [
  [1, 2],
  [-1, 0.5],
];

describe("an MLP", () => {
  test("says what it is", () => {
    expect(mlp.architecture).toBe("onnx");
    expect(mlp.parameters).toEqual({ count: 12, dtypes: ["float"] });
    expect(mlp.shape.tensors?.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["n", 2] }]);
  });

  test("addition at a value, on one row of two by strength", async () => {
    const iv = new IntervenableModel(
      {
        representations: { component: "value /act", interventionType: "addition", sourceRepresentation: [1, 10, 100] },
      },
      mlp,
    );
    const { original, intervened } = await iv.forward({ base: batch(rows), strength: [0, 2] });
    expect(numbers(original!.logits)).toEqual(rows.flatMap((x) => answer(hidden(x))));
    expect(intervened.logits.shape).toEqual([2, 2]);
    const moved = hidden(rows[1]!).map((v, i) => v + 2 * [1, 10, 100][i]!);
    expect(numbers(intervened.logits)).toEqual([...answer(hidden(rows[0]!)), ...answer(moved)]);
  });

  test("a patch from another input, some features only", async () => {
    const iv = new IntervenableModel(
      { representations: { component: "value /act", interventionType: "vanilla", dimension: [2] } },
      mlp,
    );
    const { intervened } = await iv.forward({ base: batch(rows), sources: [batch([[3, 1]])] });
    const source = hidden([3, 1]);
    const expected = rows.map((x) => hidden(x)).flatMap((h) => answer([h[0]!, h[1]!, source[2]!]));
    expect(numbers(intervened.logits)).toEqual(expected);
  });

  test("zeroing and collecting, at a value, at the output and at the input", async () => {
    const zero = new IntervenableModel(
      { representations: { component: "value /fc1/out", interventionType: "zero" } },
      mlp,
    );
    expect(numbers((await zero.forward({ base: batch(rows) })).intervened.logits)).toEqual([0, 0, 0, 0]);
    const collecting = new IntervenableModel(
      {
        representations: ["/act", "logits", "x"].map((name) => ({
          component: `value ${name}`,
          interventionType: "collect",
        })),
      },
      mlp,
    );
    const [act, logits, x] = await collecting.collect({ base: batch(rows) });
    expect(act!.shape).toEqual([2, 1, 3]);
    expect(numbers(act!)).toEqual(rows.flatMap(hidden));
    expect(numbers(logits!)).toEqual(rows.flatMap((row) => answer(hidden(row))));
    expect(numbers(x!)).toEqual(rows.flat());
  });

  test("an operator: a rotated subspace", async () => {
    const rotation = Tensor.float32([3, 1], [0.6, 0.8, 0]);
    const iv = new IntervenableModel(
      {
        representations: {
          component: "value /act",
          interventionType: "low-rank-rotated-space",
          tensors: { rotation },
        },
      },
      mlp,
    );
    const { intervened } = await iv.forward({ base: batch([[1, 2]]), sources: [batch([[3, 1]])] });
    const [h, s] = [hidden([1, 2]), hidden([3, 1])];
    const gap = 0.6 * (s[0]! - h[0]!) + 0.8 * (s[1]! - h[1]!);
    const expected = answer([h[0]! + 0.6 * gap, h[1]! + 0.8 * gap, h[2]!]);
    numbers(intervened.logits).forEach((v, i) => {
      expect(v).toBeCloseTo(expected[i]!, 4);
    });
  });

  test("is saved and loaded again on the same file", async () => {
    const iv = new IntervenableModel(
      { representations: { component: "value /act", interventionType: "addition", sourceRepresentation: [1, 0, 0] } },
      mlp,
    );
    await iv.save(join(folder, "saved"));
    const again = await IntervenableModel.load(join(folder, "saved"), mlp, { strictBase: true });
    expect(again.artefact.manifest.interventions[0]!.site).toEqual({ value: "/act", unit: "pos" });
    const [one, other] = [await iv.forward({ base: batch(rows) }), await again.forward({ base: batch(rows) })];
    expect(numbers(other.intervened.logits)).toEqual(numbers(one.intervened.logits));
  });
});

test("a value in half precision is edited in single precision and handed on in half", async () => {
  const to = (dtype: number) => [{ name: "to", type: 2, i: BigInt(dtype) }];
  const half = file({
    node: [
      node("Cast", ["x"], ["h"], to(10)),
      node("Add", ["h", "h"], ["twice"]),
      node("Cast", ["twice"], ["y"], to(1)),
    ],
    input: [typed("x", ["n", 2])],
    output: [typed("y", ["n", 2])],
  });
  await writeFile(join(folder, "half.onnx"), half);
  const model = await loadModel(join(folder, "half.onnx"), { threads: 1 });
  const iv = new IntervenableModel(
    { representations: { component: "value h", interventionType: "addition", sourceRepresentation: [0.5, 4] } },
    model,
  );
  const { original, intervened } = await iv.forward({ base: batch(rows) });
  expect(numbers(original!.logits)).toEqual(rows.flat().map((v) => 2 * v));
  expect(numbers(intervened.logits)).toEqual(rows.flatMap(([a, b]) => [2 * (a! + 0.5), 2 * (b! + 4)]));
  await model.release();
});

describe("a CNN", () => {
  const image = [1, 0, 2, -1, 3, 1, 0, 2, -2];
  const base = { tensors: { image: Tensor.float32([1, 1, 3, 3], image) } };
  const at = (r: number, c: number) =>
    kernel.reduce((sum, k, i) => sum + k * image[(r + (i >> 1)) * 3 + c + (i & 1)]!, 0);
  const conv = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];

  test("forward and collect: a line of the picture is a position", async () => {
    const iv = new IntervenableModel(
      { representations: { component: "value /conv", interventionType: "collect" } },
      cnn,
    );
    const { original, collected } = await iv.forward({ base });
    expect(numbers(original!.logits)).toEqual(conv.map((v) => Math.max(0, v)));
    expect(collected[0]!.shape).toEqual([1, 2, 2]);
    expect(numbers(collected[0]!)).toEqual(conv);
  });

  test("a patch of the second line only", async () => {
    const iv = new IntervenableModel(
      { representations: { component: "value /conv", interventionType: "addition", sourceRepresentation: [7, 70] } },
      cnn,
    );
    const { intervened } = await iv.forward({ base, unitLocations: { base: [[[1]]] } });
    const expected = [conv[0]!, conv[1]!, conv[2]! + 7, conv[3]! + 70].map((v) => Math.max(0, v));
    expect(numbers(intervened.logits)).toEqual(expected);
  });

  test("places with different numbers of positions are refused together", async () => {
    const iv = new IntervenableModel(
      {
        representations: ["image", "/conv"].map((name) => ({
          component: `value ${name}`,
          interventionType: "collect",
        })),
      },
      cnn,
    );
    await expect(iv.forward({ base })).rejects.toMatchObject({ code: "locations-invalid" });
  });
});

describe("refused by code", () => {
  const collect = (name: string, model: Model) =>
    new IntervenableModel({ representations: { component: `value ${name}`, interventionType: "collect" } }, model);

  test.each(["ghost", "best", "w1", ""])("the site %j", (name) => {
    expect(() => collect(name, mlp)).toThrow(expect.objectContaining({ code: "site-unknown" }));
  });

  test.each<[string, unknown]>([
    ["a prompt", "hello"],
    ["token ids", [1, 2]],
    ["nothing", { tensors: {} }],
    ["another name", { tensors: { y: Tensor.float32([1, 2], [1, 2]) } }],
    ["another width", { tensors: { x: Tensor.float32([1, 3], [1, 2, 3]) } }],
    ["another rank", { tensors: { x: Tensor.float32([2], [1, 2]) } }],
    ["another dtype", { tensors: { x: Tensor.int64([1, 2], [1, 2]) } }],
    ["no rows", { tensors: { x: Tensor.float32([0, 2], []) } }],
  ])("the input: %s", async (_, base) => {
    await expect(collect("/act", mlp).forward({ base: base as never })).rejects.toMatchObject({
      code: "prompt-invalid",
    });
  });

  test("sizes that only a file's word stands for", async () => {
    const wide = file({
      node: [node("Relu", ["x"], ["h"]), node("Flatten", ["h"], ["y"])],
      input: [typed("x", ["n", 2])],
      output: [typed("y", ["n", 2])],
      valueInfo: [typed("h", ["n", 2 ** 40, 2])],
    });
    const wider = file({
      node: [node("Relu", ["x"], ["y"])],
      input: [typed("x", ["n", "m"])],
      output: [typed("y", ["n", 2 ** 40])],
    });
    await writeFile(join(folder, "wide.onnx"), wide);
    await writeFile(join(folder, "wider.onnx"), wider);
    const tall = await loadModel(join(folder, "wide.onnx"));
    await expect(collect("h", tall).forward({ base: batch([[1, 2]]) })).rejects.toMatchObject({
      code: "locations-invalid",
    });
    const broad = await loadModel(join(folder, "wider.onnx"));
    expect(() => collect("y", broad)).toThrow(expect.objectContaining({ code: "site-unknown" }));
  });

  test("generating", async () => {
    await expect(mlp.generate([1, 2])).rejects.toMatchObject({ code: "generation-unsupported" });
  });

  test("files that are no models, or that need more than there is", async () => {
    const broken = async (name: string, bytes: Uint8Array) => {
      await writeFile(join(folder, name), bytes);
      return loadModel(join(folder, name));
    };
    await expect(broken("a.onnx", Buffer.from("hello"))).rejects.toMatchObject({ code: "onnx-invalid" });
    await expect(broken("b.onnx", Uint8Array.of())).rejects.toMatchObject({ code: "onnx-invalid" });
    const io = { input: [typed("x", [2])], output: [typed("y", [2])] };
    const strange = file({ node: [node("Frobnicate", ["x"], ["y"])], ...io });
    await expect((await broken("c.onnx", strange)).warmUp()).rejects.toMatchObject({ code: "runtime-failed" });
    const ints32 = file({
      node: [node("Neg", ["x"], ["y"])],
      input: [typed("x", [2], 6)],
      output: [typed("y", [2], 6)],
    });
    await expect(broken("d.onnx", ints32)).rejects.toMatchObject({ code: "onnx-unsupported" });
    await expect(loadModel(join(folder, "none.onnx"))).rejects.toMatchObject({ code: "file-missing" });
    await expect(loadModel(join(folder, "mlp.onnx"), { dtype: "q4" })).rejects.toMatchObject({ code: "usage" });
  });

  test("points in a file of old operators, which runs as it is", async () => {
    const old = file(
      { node: [node("Relu", ["x"], ["y"])], input: [typed("x", ["n", 2])], output: [typed("y", ["n", 2])] },
      { opsetImport: [{ domain: "", version: 9n }] },
    );
    await writeFile(join(folder, "old.onnx"), old);
    const model = await loadModel(join(folder, "old.onnx"));
    await model.warmUp();
    await expect(collect("y", model).forward({ base: batch([[1, -1]]) })).rejects.toMatchObject({
      code: "onnx-unsupported",
    });
    await model.release();
  });
});
