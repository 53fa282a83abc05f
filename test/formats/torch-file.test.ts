/** Reading what torch.save wrote (test/oracle/torch_files.py), and refusing what must not be read. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { memorySource, withFile } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { readTorchFile, type TorchValue } from "../../src/formats/torch-file.ts";
import { encodeZip, type ZipContent } from "../../src/formats/zip-encode.ts";
import { fixture } from "../support/fixtures.ts";
import { concat, plain, u32 } from "./bytes.ts";

/** The JSON that the oracle wrote beside each file. */
type Expected =
  | null
  | boolean
  | number
  | string
  | { tensor: string }
  | { dict: [string | number, Expected][] }
  | { list: Expected[] }
  | { bigint: string }
  | { infinity: true };

function readFixture(...parts: string[]): Promise<TorchValue> {
  return withFile(fixture("torch", ...parts), readTorchFile);
}

function check(actual: TorchValue, expected: Expected, tensors: ReadonlyMap<string, Tensor>): void {
  if (typeof expected !== "object" || expected === null) expect(actual).toBe(expected);
  else if ("tensor" in expected) expect(plain(actual as Tensor)).toEqual(plain(tensors.get(expected.tensor)!));
  else if ("bigint" in expected) expect(actual).toBe(BigInt(expected.bigint));
  else if ("infinity" in expected) expect(actual).toBe(Number.POSITIVE_INFINITY);
  else if ("list" in expected) {
    expect(actual).toHaveLength(expected.list.length);
    for (const [i, item] of (actual as TorchValue[]).entries()) check(item, expected.list[i]!, tensors);
  } else {
    const map = actual as Map<string | number, TorchValue>;
    expect([...map.keys()]).toEqual(expected.dict.map(([key]) => key));
    for (const [key, item] of expected.dict) check(map.get(key)!, item, tensors);
  }
}

test.each(["dtypes", "views", "parameters", "state_dict", "nested", "single"])("%s: as torch has it", async (name) => {
  const expected = JSON.parse(await readFile(fixture("torch", `${name}.json`), "utf8")) as Expected;
  const tensors = await withFile(fixture("torch", `${name}.safetensors`), readSafetensors);
  expect(tensors.size).toBeGreaterThan(0);
  check(await readFixture(`${name}.pt`), expected, tensors);
});

test("a bare tensor", async () => {
  expect(plain((await readFixture("bare.pt")) as Tensor)).toEqual(plain(Tensor.float32([2], [1.25, -2])));
});

test("big-endian storages are swapped, views and whole ones", async () => {
  const little = (await readFixture("little.pt")) as Map<string, Tensor>;
  const big = (await readFixture("big_endian.pt")) as Map<string, Tensor>;
  expect([...big.get("a")!.toFloat32(), ...big.get("b")!.toFloat32()]).toEqual([1, -2.5, 3, 4]);
  expect([...big].map(([key, tensor]) => [key, plain(tensor)])).toEqual([...little].map(([k, t]) => [k, plain(t)]));
});

test("what the pickle shares is shared: tied weights are one tensor", async () => {
  const nested = (await readFixture("nested.pt")) as Map<string, TorchValue>;
  expect(nested.get("again")).toBe(nested.get("tensor"));
  const tied = (await readFixture("parameters.pt")) as Map<string, TorchValue>;
  expect(tied.get("head")).toBe(tied.get("embed"));
});

describe("refuses, running nothing:", () => {
  test.each([
    ["legacy.pt", "torch-unsupported", /before 1\.6/],
    ["protocol_4.pt", "pickle-refused", /protocol 4/],
    ["os_system.pt", "pickle-refused", /(posix|nt|os)\.system/],
    ["numpy.pt", "pickle-refused", /numpy\._core\.multiarray\._reconstruct/],
    ["complex.pt", "torch-unsupported", /complex/],
    ["negated.pt", "torch-unsupported", /complex|negated/],
    ["sparse.pt", "pickle-refused", /_rebuild_sparse_tensor/],
    ["module.pt", "pickle-refused", /__main__\.Module/],
    ["torchscript.pt", "torch-unsupported", /TorchScript/],
  ])("%s", async (file, code, message) => {
    await expect(readFixture("refused", file)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/save/),
    });
  });

  test.each([
    ["safetensors", "torch/dtypes.safetensors", /safetensors file/],
    ["GGUF", "wild/easysteer/diffmean-1.gguf", /GGUF file/],
  ])("%s, by name", async (_, path, message) => {
    await expect(withFile(fixture(path), readTorchFile)).rejects.toMatchObject({
      code: "torch-unsupported",
      message: expect.stringMatching(message),
    });
  });

  const tar = new Uint8Array(1024);
  tar.set(Buffer.from("ustar"), 257);
  test.each([
    ["a tar archive", tar, "torch-unsupported", /tar archive/],
    ["a bare pickle", concat([0x80, 2], "}."), "torch-unsupported", /bare Python pickle/],
    ["an .npy file", concat("\u0093NUMPY"), "zip-invalid", /begins with the bytes/],
    ["an empty file", new Uint8Array(0), "zip-invalid", /\(none\)/],
    ["text", concat("hello, world"), "zip-invalid", /68656c6c6f2c2077/],
    [
      "a zip of something else",
      encodeZip([{ name: "x.npy", bytes: tar }]),
      "torch-unsupported",
      /0 data\.pkl; it holds x\.npy/,
    ],
    [
      "two roots",
      encodeZip(["a", "b"].map((r) => ({ name: `${r}/data.pkl`, bytes: tar }))),
      "torch-unsupported",
      /2 data/,
    ],
  ])("%s", async (_, bytes, code, message) => {
    const read = readTorchFile(memorySource(bytes));
    await expect(read).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

interface Forged {
  readonly numel?: number;
  readonly offset?: readonly number[];
  readonly size?: readonly number[];
  readonly stride?: readonly number[];
  readonly storage?: string;
  readonly rebuild?: string;
  readonly tail?: readonly number[];
}

const int = (value: number): number[] => [0x4a, ...u32(value >>> 0)];
const long = (value: number): number[] => [0x8a, 8, ...new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)];
const tuple = (items: readonly number[][]): number[] => [0x28, ...items.flat(), 0x74];
const text = (value: string): number[] => [0x55, value.length, ...Buffer.from(value)];
const global = (name: string): number[] => [0x63, ...Buffer.from(name.replace(" ", "\n")), 0x0a];

/** A torch file of one tensor over a storage of four floats 0, 1, 2, 3, described as the test pleases. */
function forge(forged: Forged, extra: readonly ZipContent[] = []): Uint8Array {
  const storage = tuple([
    text("storage"),
    global(forged.storage ?? "torch FloatStorage"),
    text("0"),
    text("cpu"),
    long(forged.numel ?? 4),
  ]);
  const rebuild = forged.rebuild ?? "torch._utils _rebuild_tensor_v2";
  const sizes = tuple((forged.size ?? [4]).map(long));
  const strides = tuple((forged.stride ?? [1]).map(long));
  const hooks = [0x89, ...global("collections OrderedDict"), 0x29, 0x52];
  const args = [...storage, 0x51, ...(forged.offset ?? int(0)), ...sizes, ...strides, ...hooks, ...(forged.tail ?? [])];
  const pickle = [0x80, 2, ...global(rebuild), 0x28, ...args, 0x74, 0x52, 0x2e];
  const data = new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer);
  return encodeZip([
    { name: "r/data.pkl", bytes: Uint8Array.from(pickle) },
    { name: "r/data/0", bytes: data },
    ...extra,
  ]);
}

const readForged = (forged: Forged, extra?: readonly ZipContent[]): Promise<TorchValue> =>
  readTorchFile(memorySource(forge(forged, extra), "forged.pt"));

describe("views are held inside their storage:", () => {
  test.each<[string, Forged, number[]]>([
    ["all of it", {}, [0, 1, 2, 3]],
    ["a part", { offset: int(1), size: [2] }, [1, 2]],
    ["every other", { size: [2], stride: [2] }, [0, 2]],
    ["transposed", { size: [2, 2], stride: [1, 2] }, [0, 2, 1, 3]],
    ["expanded", { offset: int(3), size: [3], stride: [0] }, [3, 3, 3]],
    ["nothing, from beyond the end", { offset: int(99), size: [0] }, []],
    ["a size of 1 with any stride", { size: [2, 1, 2], stride: [1, 2 ** 53 - 1, 2] }, [0, 2, 1, 3]],
    ["rank 0", { offset: int(2), size: [], stride: [] }, [2]],
  ])("%s", async (_, forged, expected) => {
    const tensor = (await readForged(forged)) as Tensor;
    expect([...tensor.toFloat32()]).toEqual(expected);
    expect(tensor.shape).toEqual(forged.size ?? [4]);
  });

  test.each<[string, Forged, string]>([
    ["one element too many", { size: [5] }, "pickle-invalid"],
    ["an offset too far", { offset: int(1) }, "pickle-invalid"],
    ["an offset at the end", { offset: int(4), size: [], stride: [] }, "pickle-invalid"],
    ["a negative offset", { offset: int(-1) }, "pickle-invalid"],
    ["a fraction as offset", { offset: [0x47, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0] }, "pickle-invalid"],
    ["None as offset", { offset: [0x4e] }, "pickle-invalid"],
    ["a negative size", { size: [-1] }, "pickle-invalid"],
    ["a negative stride", { offset: int(3), size: [2], stride: [-1] }, "pickle-invalid"],
    ["a stride too far", { size: [2], stride: [4] }, "pickle-invalid"],
    ["a stride of 2^53 - 1", { size: [2], stride: [2 ** 53 - 1] }, "pickle-invalid"],
    ["sizes whose product overflows", { size: [2 ** 40, 2 ** 40], stride: [0, 0] }, "pickle-invalid"],
    ["fewer strides than sizes", { size: [2, 2] }, "pickle-invalid"],
    ["65 dimensions", { size: new Array(65).fill(1), stride: new Array(65).fill(1) }, "pickle-invalid"],
    ["a terabyte of one element", { size: [2 ** 38], stride: [0] }, "pickle-refused"],
    ["a storage of another length", { numel: 5 }, "pickle-invalid"],
    ["a storage of negative length", { numel: -4 }, "pickle-invalid"],
    ["a storage of another type", { storage: "torch DoubleStorage" }, "pickle-invalid"],
    ["a storage without a type", { storage: "torch float32" }, "pickle-invalid"],
    ["bytes without a dtype", { storage: "torch.storage UntypedStorage", numel: 16 }, "pickle-invalid"],
    ["no tensor in a Parameter", { rebuild: "torch._utils _rebuild_parameter" }, "pickle-invalid"],
    ["v3 without a dtype", { rebuild: "torch._utils _rebuild_tensor_v3" }, "pickle-invalid"],
    ["metadata of any kind", { tail: [0x7d, ...text("neg"), 0x88, 0x73] }, "torch-unsupported"],
    ["a dtype called as a function", { rebuild: "torch float32" }, "pickle-refused"],
    ["a storage called as a function", { rebuild: "torch FloatStorage" }, "pickle-refused"],
  ])("refuses %s", async (_, forged, code) => {
    await expect(readForged(forged)).rejects.toMatchObject({ code });
  });

  test("many views of one storage share a budget of copies", async () => {
    const one = forge({ size: [2 ** 22], stride: [0] });
    await expect(readTorchFile(memorySource(one))).resolves.toMatchObject({ shape: [2 ** 22] });
    await expect(readForged({ size: [2 ** 25], stride: [0] })).rejects.toMatchObject({ code: "pickle-refused" });
  });
});

test("a missing storage and an unknown byte order are named", async () => {
  const bytes = forge({});
  const renamed = bytes.slice();
  for (let at = renamed.length - 200; at < renamed.length; at++) {
    if (Buffer.from(renamed.subarray(at, at + 8)).toString() === "r/data/0") renamed[at + 7] = 0x31;
  }
  await expect(readTorchFile(memorySource(renamed))).rejects.toMatchObject({
    code: "pickle-invalid",
    message: expect.stringMatching(/storage 0 has 16 bytes, its entry is missing/),
  });
  const odd = [{ name: "r/byteorder", bytes: Buffer.from("middle") }];
  await expect(readForged({}, odd)).rejects.toMatchObject({ code: "torch-unsupported" });
});
