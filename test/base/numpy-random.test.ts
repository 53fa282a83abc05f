/** numpy's legacy normals: the numbers numpy 2 printed for RandomState(1), and the noise pyvene keeps. */
import { expect, test } from "@jest/globals";
import { numpyNormals } from "../../src/base/numpy-random.ts";
import { fixture, readTensors } from "../support/fixtures.ts";

test("the first numbers of RandomState(1).randn", () => {
  const expected = [
    1.6243453636632417, -0.6117564136500754, -0.5281717522634557, -1.0729686221561705, 0.8654076293246785,
  ];
  expect([...numpyNormals(1, 5)]).toEqual(expected);
});

// Within four units of the last place: numpy takes the logarithm from the C library.
test("pyvene's noise, number by number", async () => {
  const tensors = await readTensors(fixture("cases", "llama", "noise", "tensors.safetensors"));
  const noise = tensors.get("param.0.noise")!;
  expect(noise.shape).toEqual([1, 4, 32]);
  const bytes = new Float64Array(new Uint8Array(noise.bytes).buffer);
  numpyNormals(1, 128).forEach((value, i) => {
    expect(Math.abs(value - bytes[i]!)).toBeLessThanOrEqual(2 ** -50 * Math.abs(value));
  });
});
