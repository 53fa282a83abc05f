/**
 * Files that vene writes for torch. Those under fixtures/torch/written were read back by torch.load(weights_only=True)
 * (test/oracle/torch_files.py check); here the writer must still make the same bytes. VENE_WRITE_FIXTURES=1 renews them.
 */
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource } from "../../src/base/bytes.ts";
import { dtypeSizes, dtypes } from "../../src/base/dtype.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { encodeTorchFile, type TorchEncodeOptions } from "../../src/formats/torch-encode.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import { fixture } from "../support/fixtures.ts";
import { anyTensor, plainMap } from "./bytes.ts";

type Key = string | number;

function ofEveryDtype(): [Key, Tensor][] {
  return dtypes.flatMap((dtype): [Key, Tensor][] => {
    const bytes = Uint8Array.from({ length: 6 * dtypeSizes[dtype] }, (_, i) =>
      dtype === "bool" ? i % 2 : (i * 37) % 120,
    );
    return [
      [dtype, new Tensor(dtype, [2, 3], bytes)],
      [`${dtype}.scalar`, new Tensor(dtype, [], bytes.slice(0, dtypeSizes[dtype]))],
    ];
  });
}

const vector = Tensor.float32([4], [0.5, -1, 2, 0]).to("bfloat16");

const written: { name: string; entries: [Key, Tensor][]; options?: TorchEncodeOptions }[] = [
  { name: "dtypes", entries: ofEveryDtype() },
  {
    name: "intervention",
    entries: [
      ["source_representation", vector],
      ["embed_dim", Tensor.int64([], [4])],
      ["interchange_dim", Tensor.int64([], [4])],
    ],
    options: { root: "intkey_layer_8_comp_block_output_unit_pos_nunit_1#0" },
  },
  {
    name: "plain_integer_keys",
    entries: [0, 31, 256, 65536, -1, 2 ** 40].map((k) => [k, vector]),
    options: { ordered: false },
  },
  { name: "plain_empty", entries: [], options: { ordered: false } },
  { name: "empty", entries: [] },
  {
    name: "shapes",
    entries: [
      ["none", Tensor.float32([0], [])],
      ["inner", Tensor.float32([2, 0, 3], [])],
      ["ones", Tensor.float32([1, 1, 2, 1], [1, 2])],
      ["unicode h\u00e9 \u{1f600}", Tensor.float32([1], [3])],
      ["", Tensor.float32([300], new Float32Array(300).fill(2))],
      ["long", new Tensor("uint8", [70_000], new Uint8Array(70_000))],
    ],
  },
];

test.each(written)("$name: the bytes that torch was shown", async ({ name, entries, options }) => {
  const bytes = encodeTorchFile(new Map(entries), options);
  const path = fixture("torch", "written", `${name}.pt`);
  if (process.env["VENE_WRITE_FIXTURES"] !== undefined) {
    await writeFile(path, bytes);
    const byText = new Map(entries.map(([key, tensor]) => [String(key), tensor]));
    await writeFile(path.replace(".pt", ".safetensors"), encodeSafetensors(byText));
  }
  expect(Buffer.compare(bytes, await readFile(path))).toBe(0);
});

test("any dict of tensors comes back, with its keys in their order", async () => {
  const key = fc.oneof(fc.string({ unit: "grapheme", maxLength: 300 }), fc.maxSafeInteger());
  const maps = fc.array(fc.tuple(key, anyTensor), { maxLength: 6 }).map((pairs) => new Map<Key, Tensor>(pairs));
  const property = fc.asyncProperty(maps, fc.boolean(), async (tensors, ordered) => {
    const bytes = encodeTorchFile(tensors, { ordered, root: "some file" });
    const read = (await readTorchFile(memorySource(bytes))) as Map<Key, Tensor>;
    expect([...read.keys()]).toEqual([...tensors.keys()]);
    expect(plainMap(read)).toEqual(plainMap(tensors));
    expect(Buffer.compare(encodeTorchFile(read, { ordered, root: "some file" }), bytes)).toBe(0);
  });
  await fc.assert(property, { numRuns: 300 });
});

test("a key that Python has no integer for, or a root with a slash, is a usage error", () => {
  const usage = expect.objectContaining({ code: "usage" });
  for (const key of [0.5, Number.NaN, 2 ** 53]) expect(() => encodeTorchFile(new Map([[key, vector]]))).toThrow(usage);
  for (const root of ["", "a/b"]) expect(() => encodeTorchFile(new Map(), { root })).toThrow(usage);
});
