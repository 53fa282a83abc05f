/** Opening .onnx files: weights inside and beside them, Hub caches made of links, and what must not be read. */
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { bytesOf, Tensor } from "../../src/base/tensor.ts";
import type { Init } from "../../src/formats/onnx/types.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { openOnnxFile } from "../../src/runtime/onnx-file.ts";
import { elsewhere, file, node, typed, weights } from "../graph/onnx-files.ts";

const width = 512;
const values = Float32Array.from({ length: width }, (_, i) => i / 8);
const data = bytesOf(values);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-onnx-file-"));
});
afterAll(() => rm(folder, { recursive: true }));

function withWeight(w: Init<"TensorProto">): Uint8Array {
  return file({
    node: [node("Add", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
    initializer: [w],
    input: [typed("x", ["n", width])],
    output: [typed("y", ["n", width])],
  });
}

const inline = withWeight(weights("w", [width], [...values]));
const beside = (location: string, entries: Record<string, string> = {}) =>
  withWeight(elsewhere("w", [width], { location, ...entries }));

async function place(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const at = join(folder, name);
  await mkdir(at, { recursive: true });
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(at, file), bytes);
  return join(at, "model.onnx");
}

/** y for x = 1 with 1 added at h. */
async function answers(path: string): Promise<Float32Array> {
  const model = await loadModel(path, { threads: 1 });
  const source = { sourceRepresentation: new Float32Array(width).fill(1) };
  const iv = new IntervenableModel(
    { representations: { component: "value h", interventionType: "addition", ...source } },
    model,
  );
  const x = Tensor.float32([1, width], new Float32Array(width).fill(1));
  const { intervened } = await iv.forward({ base: { tensors: { x } } });
  await model.release();
  return intervened.logits.toFloat32();
}

const expected = values.map((value) => value + 2);

test("weights inside and beside a file answer alike and are one fingerprint", async () => {
  const one = await place("inline", { "model.onnx": inline });
  const other = await place("beside", {
    "model.onnx": beside("w.bin", { offset: "4", length: String(data.length) }),
    "w.bin": Buffer.concat([Buffer.alloc(4), data]),
  });
  expect(await answers(one)).toEqual(expected);
  expect(await answers(other)).toEqual(expected);
  const [a, b] = [await openOnnxFile(one), await openOnnxFile(other)];
  expect(a.fingerprint).toBe(b.fingerprint);
  expect([a.weightBytes, b.weightBytes]).toEqual([data.length, data.length]);
  const third = withWeight(weights("w", [width], [1, ...values.subarray(1)]));
  expect((await openOnnxFile(await place("third", { "model.onnx": third }))).fingerprint).not.toBe(a.fingerprint);
});

test("a Hub cache's snapshot, all links into its folder of blobs", async () => {
  const blobs = join(folder, "repo", "blobs");
  const snapshot = join(folder, "repo", "snapshots", "abc", "onnx");
  await mkdir(blobs, { recursive: true });
  await mkdir(snapshot, { recursive: true });
  await writeFile(join(blobs, "1111"), beside("model.onnx_data"));
  await writeFile(join(blobs, "2222"), data);
  await symlink("../../../blobs/1111", join(snapshot, "model.onnx"));
  await symlink("../../../blobs/2222", join(snapshot, "model.onnx_data"));
  expect(await answers(join(snapshot, "model.onnx"))).toEqual(expected);
  expect(await answers(join(folder, "repo", "snapshots", "abc"))).toEqual(expected);
});

test("weights that a link leads out of the folder are refused", async () => {
  const path = await place("linked", { "model.onnx": beside("w.bin") });
  await writeFile(join(folder, "secret.bin"), data);
  await symlink(join(folder, "secret.bin"), join(folder, "linked", "w.bin"));
  await expect(openOnnxFile(path)).rejects.toMatchObject({ code: "onnx-invalid" });
});

test("a hard link is a file like any other", async () => {
  const path = await place("hard", { "model.onnx": beside("w.bin") });
  await link(join(folder, "repo", "blobs", "2222"), join(folder, "hard", "w.bin"));
  expect(await answers(path)).toEqual(expected);
});

test("weights that are absent or too short, and folders in their place", async () => {
  const absent = await place("absent", { "model.onnx": beside("w.bin") });
  await expect(loadModel(absent)).rejects.toMatchObject({ code: "weights-missing" });
  const short = await place("short", { "model.onnx": beside("w.bin"), "w.bin": data.subarray(4) });
  await expect(loadModel(short)).rejects.toMatchObject({ code: "onnx-invalid" });
  const odd = await place("odd", { "model.onnx": beside("w.bin") });
  await mkdir(join(folder, "odd", "w.bin"));
  await expect(loadModel(odd)).rejects.toMatchObject({ code: "file-unreadable" });
  await mkdir(join(folder, "directory.onnx"));
  await expect(loadModel(join(folder, "directory.onnx"))).rejects.toMatchObject({ code: "file-unreadable" });
});
