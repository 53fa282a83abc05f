/** Format 1 on disk: what is written reads back equal, and whatever does not agree is refused by name. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { makeArtefact, tensorOf } from "../../src/artefact/artefact.ts";
import { readFormat1, readManifest, writeFormat1 } from "../../src/artefact/format1.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { type DType, dtypeSizes, elementCount } from "../../src/base/dtype.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { fixtures, temporaryFolder } from "./places.ts";
import { addition, draft, sample, vector, zero } from "./samples.ts";

/** A folder with the sample, and a way to change its manifest in place. */
async function written() {
  const folder = join(await temporaryFolder(), "sample");
  await writeFormat1(folder, sample());
  const path = join(folder, "intervention.json");
  const change = async (edit: (text: string) => string) => writeFile(path, edit(await readFile(path, "utf8")));
  return { folder, change };
}

describe("round trip", () => {
  test("reads back equal, byte for byte the second time", async () => {
    const { folder } = await written();
    const artefact = await readFormat1(folder);
    expect(artefact).toEqual(sample());
    const again = join(await temporaryFolder(), "again");
    await writeFormat1(again, artefact);
    for (const fileName of ["intervention.json", "intervention.safetensors", "README.md"]) {
      expect(await readFile(join(again, fileName))).toEqual(await readFile(join(folder, fileName)));
    }
    expect(await readManifest(folder)).toEqual(sample().manifest);
    expect(tensorOf(artefact, artefact.manifest.interventions[0]!, "source")).toEqual(vector);
    expect(tensorOf(artefact, artefact.manifest.interventions[1]!, "source")).toBeUndefined();
  });

  test("vectors keep their dtype, shape and bits", async () => {
    const folder = join(await temporaryFolder(), "any");
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("float32" as const, "float16" as const, "bfloat16" as const),
        fc.constantFrom<number[]>([4], [1, 4], [3, 4], [2, 3, 4]),
        fc.infiniteStream(finite),
        async (dtype, shape, stream) => {
          const size = shape.reduce((a, b) => a * b);
          const tensor = Tensor.float32(shape, Float32Array.from(stream.take(size))).to(dtype);
          await writeFormat1(folder, sample({}, new Map([["one", tensor]])));
          expect((await readFormat1(folder)).tensors).toEqual(new Map([["one", tensor]]));
        },
      ),
      { numRuns: 20 },
    );
  });

  test("an artefact without tensors is a folder too", async () => {
    const folder = join(await temporaryFolder(), "zero");
    await writeFormat1(folder, sample({ interventions: [zero] }, new Map()));
    expect((await readFormat1(folder)).tensors.size).toBe(0);
  });
});

describe("what does not agree", () => {
  test("a tensors' file of another size or content", async () => {
    const { folder } = await written();
    const path = join(folder, "intervention.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    await expect(readFormat1(folder)).rejects.toMatchObject({
      code: "artefact-tensor",
      message: expect.stringContaining("sha256"),
    });
    await writeFile(path, bytes.subarray(0, -1));
    await expect(readFormat1(folder)).rejects.toMatchObject({
      code: "artefact-tensor",
      details: { found: bytes.length - 1, expected: bytes.length },
    });
  });

  test.each([
    ["names a tensor that is absent", '"source": "one"', '"source": "two"', "artefact-tensor", "two"],
    ["leaves one out", '"source": "one"', "", "artefact-tensor", "one"],
    ["gives another width", '"hiddenSize": 4', '"hiddenSize": 5', "artefact-tensor", "d is 5 here, not 4"],
    ["has an unknown key", '"name"', '"colour": 1, "name"', "manifest-invalid", "colour"],
    ["is of a newer format", '"format": 1', '"format": 2', "format-newer", "2"],
    ["names a key twice", '"name"', '"mode": "serial", "name"', "json-invalid", "mode"],
    ["is cut off", "}\n}\n", "", "json-invalid", ""],
  ])("a manifest that %s", async (_, from, to, code, message) => {
    const { folder, change } = await written();
    await change((text) => text.replace(from, to));
    await expect(readFormat1(folder)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test("no folder", async () => {
    await expect(readFormat1(join(await temporaryFolder(), "none"))).rejects.toMatchObject({ code: "file-missing" });
  });
});

describe("makeArtefact", () => {
  test.each([
    [Number.NaN, 2],
    [Number.POSITIVE_INFINITY, 0],
    [Number.NEGATIVE_INFINITY, 3],
  ])("%d at index %d is refused with its place", (value, index) => {
    const values = new Float32Array(4);
    values[index] = value;
    for (const dtype of ["float32", "float16", "bfloat16"] as const) {
      const tensor = Tensor.float32([4], values).to(dtype);
      expect(() => sample({}, new Map([["one", tensor]]))).toThrow(
        expect.objectContaining({ code: "tensor-invalid", details: { name: "one", index, value } }),
      );
    }
  });

  test.each<[string, DType, number[]]>([
    ["a scalar", "float32", []],
    ["another width", "float32", [3]],
    ["an empty tensor", "float32", [0, 4]],
    ["integers", "int64", [4]],
    ["eight bits", "float8_e4m3fn", [4]],
  ])("%s is no source", (_, dtype, shape) => {
    const tensor = new Tensor(dtype, shape, new Uint8Array(elementCount(shape) * dtypeSizes[dtype]));
    expect(() => sample({}, new Map([["one", tensor]]))).toThrow(expect.objectContaining({ code: "artefact-tensor" }));
  });

  test("the width is free where the hidden size does not decide it", () => {
    const site = { layer: 1, component: "mlp_activation", unit: "pos" } as const;
    const wide = new Map([["one", Tensor.float32([11], new Float32Array(11))]]);
    expect(makeArtefact({ ...draft, interventions: [{ ...addition, site }] }, wide).tensors).toBe(wide);
  });
});

describe("released formats", () => {
  test("an artefact written by 0.1.0 reads as it did then", async () => {
    const { manifest, tensors } = await readFormat1(join(fixtures, "format1/cheerful"));
    expect(manifest).toMatchObject({
      format: 1,
      name: "cheerful",
      base: { model: "HuggingFaceTB/SmolLM2-135M-Instruct", architecture: "llama", layers: 30, hiddenSize: 576 },
      interventions: [{ kind: "addition", site: { layer: 20, component: "block_output", unit: "pos" } }],
    });
    const [original] = (await readPyvene(join(fixtures, "smollm2/cheerful/saved"))).artefact.tensors.values();
    expect([...tensors.values()]).toEqual([original]);
  });
});
