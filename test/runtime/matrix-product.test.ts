/** Products of large matrices by onnxruntime. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { writeFormat1 } from "../../src/artefact/format1.ts";
import type { Multiply } from "../../src/artefact/matrix.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { encodeTorchFile } from "../../src/formats/torch-encode.ts";
import { withMatrixProduct } from "../../src/runtime/matrix-product.ts";
import { readArtefact } from "../../src/runtime/read-artefact.ts";

const folder = await mkdtemp(join(tmpdir(), "vene-product-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

test("multiplies matrices of any sizes, one after the other and at once", async () => {
  const products = await withMatrixProduct(async (multiply) => [
    await multiply(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(1, 0, 0, 1, 2, 2), {
      rows: 2,
      inner: 3,
      columns: 2,
    }),
    ...(await Promise.all([
      multiply(Float32Array.of(2, 3), Float32Array.of(5, 7), { rows: 1, inner: 2, columns: 1 }),
      multiply(Float32Array.of(2, 3), Float32Array.of(5, 7), { rows: 2, inner: 1, columns: 2 }),
    ])),
  ]);
  expect(products.map((product) => [...product])).toEqual([[7, 8, 16, 17], [31], [10, 14, 15, 21]]);
});

test("is gone afterwards, whether or not it was used, and lets errors through", async () => {
  const engines: Multiply[] = [];
  expect(await withMatrixProduct(async () => 5)).toBe(5);
  await withMatrixProduct(async (multiply) => {
    engines.push(multiply);
    await multiply(Float32Array.of(1), Float32Array.of(1), { rows: 1, inner: 1, columns: 1 });
  });
  const one = { rows: 1, inner: 1, columns: 1 };
  await expect(engines[0]!(Float32Array.of(1), Float32Array.of(1), one)).rejects.toMatchObject({ code: "released" });
  await expect(withMatrixProduct(() => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
});

test("a folder with a rotation of 300 dimensions is read with it", async () => {
  const n = 300;
  const original = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * i) / 100);
  const base = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const weight = "rotate_layer.parametrizations.weight";
  const state = new Map([
    [`${weight}.original`, Tensor.float32([n, n], original)],
    [`${weight}.0.base`, Tensor.float32([n, n], base)],
  ]);
  await writeFile(join(folder, "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin"), encodeTorchFile(state));
  const config = {
    representations: [[1, "block_output", "pos", 1, null, null, null, null, null, null, null, null, null]],
    intervention_types: ["<class 'pyvene.models.interventions.RotatedSpaceIntervention'>"],
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const { artefact, notices } = await readArtefact(folder);
  const [rotation] = [...artefact.tensors.values()];
  expect(rotation!.shape).toEqual([n, n]);
  // Orthonormal, so no notice beside the usual one.
  expect(notices).toHaveLength(1);
  await expect(writeFormat1(folder, artefact)).resolves.toBeUndefined();
});
