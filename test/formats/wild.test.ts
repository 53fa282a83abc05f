/** Files found in public repositories decode to the numbers that independent programs read from them. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { withFile } from "../../src/base/bytes.ts";
import { sha256Of } from "../../src/base/digest.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import { fixture } from "../support/fixtures.ts";

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

function argmaxAbs(values: Float32Array): number {
  return values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]!) ? i : best), 0);
}

const readTorch = (...parts: string[]) => withFile(fixture("wild", ...parts), readTorchFile);

describe("honest-LLaMA's activations (pyvene): a plain dict of 32 bfloat16 vectors", () => {
  const file = "honest_llama2_chat_7B_o_proj_add_activations.bin";
  /** layer, L2, max, min, index of the largest, first values. */
  const expected: [number, number, number, number, number, number[]][] = [
    [6, 1.060534, 0.0578613, -0.0546875, 1512, [-0.0098876953125, 0.0087890625, 0.00201416015625]],
    [9, 3.990878, 0.292969, -0.194336, 1512, [-0.016357421875, -0.07763671875]],
    [10, 2.280456, 0.141602, -0.15332, 2140, [0.03125, -0.06201171875]],
    [11, 5.985681, 0.375, -0.324219, 1512, [-0.126953125, -0.1943359375]],
    [12, 5.515499, 0.316406, -0.361328, 340, [0.005706787109375, 0.06005859375]],
    [13, 9.676828, 0.523438, -0.578125, 1487, [0.0218505859375, -0.06982421875]],
    [14, 4.268, 0.213867, -0.275391, 3354, [0.0028076171875, 0.0966796875]],
    [15, 6.137242, 0.328125, -0.339844, 3024, [-0.0771484375, -0.08642578125]],
    [16, 2.767469, 0.141602, -0.355469, 1512, [-0.01953125, -0.00299072265625]],
    [21, 3.883729, 0.3125, -0.253906, 568, [-0.05810546875, -0.05712890625]],
    [26, 7.008487, 0.367188, -0.435547, 1117, [0.126953125, 0.0096435546875]],
    [27, 0.992296, 0.0522461, -0.0476074, 1512, [-0.01055908203125, -0.009033203125]],
    [30, 5.866653, 0.291016, -0.353516, 2636, [-0.150390625, 0.09130859375]],
    [31, 3.717929, 0.601562, -0.380859, 1076, [0.06494140625, -0.043212890625]],
  ];

  test("the file is the one measured", async () => {
    expect(sha256Of(await readFile(fixture("wild", "pyvene", file)))).toMatch(/^018d4c471535d0de/);
  });

  test("14 dense layers, 18 of zeros, and every number", async () => {
    const layers = (await readTorch("pyvene", file)) as Map<number, Tensor>;
    expect([...layers.keys()]).toEqual(Array.from({ length: 32 }, (_, i) => i));
    const nonZero = [...layers.values()].map((t) => t.toFloat32().filter((value) => value !== 0).length);
    expect(nonZero.reduce((a, b) => a + b)).toBe(57344);
    let squares = 0;
    for (const [layer, tensor] of layers) {
      expect([tensor.dtype, tensor.shape]).toEqual(["bfloat16", [4096]]);
      const row = expected.find(([number]) => number === layer);
      expect(nonZero[layer]).toBe(row === undefined ? 0 : 4096);
      if (row === undefined) continue;
      const values = tensor.toFloat32();
      squares += norm(values) ** 2;
      expect(norm(values)).toBeCloseTo(row[1], 5);
      expect(values.reduce((a, b) => Math.max(a, b))).toBeCloseTo(row[2], 5);
      expect(values.reduce((a, b) => Math.min(a, b))).toBeCloseTo(row[3], 5);
      expect(argmaxAbs(values)).toBe(row[4]);
      expect([...values.slice(0, row[5].length)]).toEqual(row[5]);
    }
    expect(Math.sqrt(squares)).toBeCloseTo(18.950208, 4);
  });
});

describe("pyreft saves (EasySteer)", () => {
  const bin = "intkey_layer_8_comp_block_output_unit_pos_nunit_1#0.bin";

  test.each([
    ["reft_loreft", 4, 3.134056, 0.06298828, -0.00410402],
    ["emoji_loreft", 4, undefined, undefined, undefined],
    ["emoji_bias", 2, undefined, undefined, undefined],
  ])("%s: LoReFT of rank %d with an orthonormal rotation", async (folder, rank, weightNorm, bias0, rotation0) => {
    const state = (await readTorch("easysteer", folder, bin)) as Map<string, Tensor>;
    const [weight, bias, rotation] = ["weight", "bias", "rotate_layer"].map((key) => state.get(key)!) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    expect([...state.keys()]).toEqual(["weight", "bias", "rotate_layer"]);
    expect([weight.dtype, weight.shape, bias.dtype, bias.shape]).toEqual([
      "bfloat16",
      [rank, 1536],
      "bfloat16",
      [rank],
    ]);
    expect([rotation.dtype, rotation.shape]).toEqual(["float32", [1536, rank]]);
    const r = rotation.toFloat32();
    for (let i = 0; i < rank; i++) {
      for (let j = 0; j < rank; j++) {
        let dot = 0;
        for (let k = 0; k < 1536; k++) dot += r[k * rank + i]! * r[k * rank + j]!;
        expect(Math.abs(dot - (i === j ? 1 : 0))).toBeLessThan(1e-5);
      }
    }
    if (weightNorm === undefined) return;
    expect(norm(weight.toFloat32())).toBeCloseTo(weightNorm, 5);
    expect(bias.toFloat32()[0]).toBeCloseTo(bias0, 7);
    expect(r[0]).toBeCloseTo(rotation0, 7);
  });

  test("reft_ssv: one bias vector", async () => {
    const state = (await readTorch("easysteer", "reft_ssv", bin)) as Map<string, Tensor>;
    expect([...state.keys()]).toEqual(["bias"]);
    expect([state.get("bias")!.dtype, state.get("bias")!.shape]).toEqual(["float32", [1536]]);
    expect(norm(state.get("bias")!.toFloat32())).toBeCloseTo(14.065144, 4);
  });
});

test.each([
  ["vec_ep20_layer15.pt", "float32"],
  ["task_vector_layer-10.pt", "float16"],
])("%s: a bare tensor %s [4096]", async (file, dtype) => {
  const vector = (await readTorch("easysteer", file)) as Tensor;
  expect([vector.dtype, vector.shape]).toEqual([dtype, [4096]]);
  const values = vector.toFloat32();
  expect(values.every(Number.isFinite)).toBe(true);
  expect(norm(values)).toBeGreaterThan(0.01);
});

describe("GGUF control vectors (EasySteer)", () => {
  test("diffmean-1: 28 unit vectors of 1536 and 8 keys", async () => {
    const { version, metadata, tensors } = await withFile(fixture("wild", "easysteer", "diffmean-1.gguf"), readGguf);
    expect([version, metadata.size, tensors.size]).toEqual([3, 8, 28]);
    expect(metadata.get("general.architecture")).toBe("controlvector");
    expect(metadata.get("controlvector.layer_count")).toBe(28);
    expect([...tensors.keys()].sort()).toEqual(Array.from({ length: 28 }, (_, i) => `direction.${i}`).sort());
    for (const tensor of tensors.values()) {
      expect([tensor.dtype, tensor.shape]).toEqual(["float32", [1536]]);
      expect(norm(tensor.toFloat32())).toBeCloseTo(1, 5);
    }
    expect(tensors.get("direction.0")!.toFloat32()[0]).toBeCloseTo(0.00115964, 8);
  });

  test("happy_diffmean: as many of the same size", async () => {
    const { tensors } = await withFile(fixture("wild", "easysteer", "happy_diffmean.gguf"), readGguf);
    expect([tensors.size, tensors.get("direction.27")!.shape]).toEqual([28, [1536]]);
  });
});
