/** NumPy arrays: what numpy wrote of every type and version, and what is refused. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource, withFile } from "../../src/base/bytes.ts";
import { VeneError } from "../../src/base/errors.ts";
import { decodeNpy, readNpz } from "../../src/formats/npy.ts";
import { encodeZip } from "../../src/formats/zip-encode.ts";
import { fixture } from "../support/fixtures.ts";

const bytesOf = (name: string) => new Uint8Array(readFileSync(fixture("npy", `${name}.npy`)));
const read = (name: string) => decodeNpy(bytesOf(name), name);

/** A version 1 file with any header and data. */
function npy(header: string, data = new Uint8Array(24)): Uint8Array {
  const head = Buffer.from(`\x93NUMPY\x01\x00..${header}`, "latin1");
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, data]);
}

describe("what numpy wrote", () => {
  test.each([
    ["f8", "float64"],
    ["f4", "float32"],
    ["f2", "float16"],
    ["i8", "int64"],
    ["i4", "int32"],
    ["i2", "int16"],
    ["i1", "int8"],
    ["u1", "uint8"],
    ["version-2", "float32"],
    ["version-3", "float32"],
  ])("%s", (name, dtype) => {
    const tensor = read(name);
    expect([tensor.dtype, tensor.shape]).toEqual([dtype, [2, 3]]);
    expect(tensor.toNumbers()).toEqual([0, 1, 2, 3, 5, name === "i1" ? -6 : 250]);
  });

  test.each([
    ["u8", "uint64", 8],
    ["u4", "uint32", 4],
    ["u2", "uint16", 2],
    ["b1", "bool", 1],
  ])("%s", (name, dtype, size) => {
    const { dtype: found, bytes } = read(name);
    expect(found).toBe(dtype);
    const firsts = [...bytes].filter((_, i) => i % size === 0);
    expect(firsts).toEqual(name === "b1" ? [0, 1, 1, 1, 1, 1] : [0, 1, 2, 3, 5, 250]);
  });

  test("a number and a vector", () => {
    expect([read("scalar").shape, read("scalar").toNumbers()]).toEqual([[], [2.5]]);
    expect([read("vector").shape, read("vector").toNumbers()]).toEqual([[4], [0, 1, 2, 3]]);
  });
});

describe("refused", () => {
  test.each(["objects", "big-endian", "fortran"])("%s", (name) => {
    expect(() => read(name)).toThrow(expect.objectContaining({ code: "npy-invalid" }));
  });

  const header = (shape: string, descr = "<f4") =>
    `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }\n`;
  test("the header that the next ones vary", () => {
    expect(decodeNpy(npy(header("(2, 3)")), "x").shape).toEqual([2, 3]);
    expect(decodeNpy(npy(header("(6,)")), "x").shape).toEqual([6]);
  });

  test.each([
    ["more values than bytes", header("(2, 4)")],
    ["fewer", header("(2, 2)")],
    ["a size beyond memory", header("(999999999999999, 999999999999999)")],
    ["a negative size", header("(-2, 3)")],
    ["forty dimensions", header(`(${"1, ".repeat(40)})`)],
    ["ten thousand dimensions", header(`(${"1, ".repeat(10_000)})`)],
    ["a structured dtype", header("(6,)", "<f4,<i4")],
    ["no shape", "{'descr': '<f4', 'fortran_order': False, }\n"],
    ["code", "__import__('os').system('id')\n"],
    ["nothing", ""],
  ])("%s", (_, text) => {
    expect(() => decodeNpy(npy(text), "x")).toThrow(expect.objectContaining({ code: "npy-invalid" }));
  });

  test("any cut or flipped byte gives an array or npy-invalid", () => {
    const whole = bytesOf("f4");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (at, value, cut) => {
        const damaged = cut ? whole.slice(0, at) : whole.with(at, value);
        try {
          return decodeNpy(damaged, "x").bytes.length <= 24;
        } catch (thrown) {
          return thrown instanceof VeneError && thrown.code === "npy-invalid";
        }
      }),
    );
  });
});

describe("readNpz", () => {
  test("arrays by name", async () => {
    const arrays = await withFile(fixture("sae", "gemma-scope", "params.npz"), readNpz);
    expect([...arrays].map(([name, { shape }]) => [name, shape])).toEqual([
      ["W_enc", [32, 48]],
      ["W_dec", [48, 32]],
      ["b_enc", [48]],
      ["b_dec", [32]],
      ["threshold", [48]],
    ]);
  });

  test("compressed ones, other files and damage are refused", async () => {
    await expect(withFile(fixture("npy", "compressed.npz"), readNpz)).rejects.toMatchObject({ code: "zip-invalid" });
    const entry = { name: "a.npy", bytes: bytesOf("f4") };
    const archive = encodeZip([entry]);
    expect((await readNpz(memorySource(archive))).get("a")!.shape).toEqual([2, 3]);
    const other = encodeZip([entry, { name: "run.py", bytes: new Uint8Array(3) }]);
    await expect(readNpz(memorySource(other))).rejects.toMatchObject({ code: "npy-invalid" });
    await expect(readNpz(memorySource(archive.slice(0, -1)))).rejects.toMatchObject({ code: "zip-invalid" });
  });
});
