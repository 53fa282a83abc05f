/** What pyvene gets: strength, dimensions, keys, and a clear no where it has no equivalent. */
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { pyveneFiles } from "../../src/artefact/pyvene-write.ts";
import { artefactFiles, writeArtefact } from "../../src/artefact/read.ts";
import { memorySource } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import type { Intervention } from "../../src/spec/intervention.ts";
import { savedByPyvene, temporaryFolder } from "./places.ts";
import { addition, draft, sample, vector, zero } from "./samples.ts";

const with_ = (changes: Partial<Intervention>) =>
  sample({ interventions: [{ ...addition, ...changes } as Intervention, zero] });

function configOf(artefact: ReturnType<typeof sample>) {
  return JSON.parse(pyveneFiles(artefact).files.get("config.json") as string);
}

async function stateOf(artefact: ReturnType<typeof sample>, fileName: string) {
  const bytes = pyveneFiles(artefact).files.get(fileName) as Uint8Array;
  return (await readTorchFile(memorySource(bytes, fileName))) as Map<string, Tensor>;
}

describe("pyveneFiles", () => {
  test("writes 13 fields, and the width of the site where pyvene knows it", async () => {
    expect(configOf(sample())).toEqual({
      intervention_constant_sources: [true, true],
      intervention_dimensions: [4, 4],
      intervention_types: [
        "<class 'pyvene.models.interventions.AdditionIntervention'>",
        "<class 'pyvene.models.interventions.ZeroIntervention'>",
      ],
      mode: "parallel",
      representations: [
        [1, "block_output", "pos", 1, null, null, null, null, null, null, null, null, true],
        [2, "mlp_output", "pos", 1, null, null, null, null, null, null, null, null, null],
      ],
      sorted_keys: ["layer_1_comp_block_output_unit_pos_nunit_1#0", "layer_2_comp_mlp_output_unit_pos_nunit_1#0"],
    });
    const state = await stateOf(sample(), "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin");
    expect([...state]).toEqual([
      ["embed_dim", Tensor.int64([], [4])],
      ["interchange_dim", Tensor.int64([], [4])],
      ["source_representation", vector],
    ]);
  });

  test("a strength becomes part of the vector, in the vector's dtype, and is said", async () => {
    const strong = with_({ strength: { default: -1.5, min: -4, max: 4 } });
    const key = "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin";
    expect((await stateOf(strong, key)).get("source_representation")!.toNumbers()).toEqual([-0.75, 1.5, -3, -0.375]);
    expect(pyveneFiles(strong).notices).toEqual([expect.stringContaining("-1.5")]);
    const half = sample(
      { interventions: [{ ...addition, strength: { default: 2, min: 0, max: 4 } }] },
      new Map([["one", vector.to("bfloat16")]]),
    );
    expect((await stateOf(half, key)).get("source_representation")).toEqual(
      Tensor.float32([4], [1, -2, 4, 0.5]).to("bfloat16"),
    );
  });

  test("a tokens policy that pyvene cannot store is said", () => {
    expect(pyveneFiles(with_({ tokens: { prompt: "all", generated: "all" } })).notices).toEqual([
      expect.stringContaining("(here all)"),
    ]);
  });

  test("the original config goes back only while it still says the same", async () => {
    const [, saved] = savedByPyvene.find(([name]) => name === "smollm2/cheerful")!;
    const { artefact } = await readPyvene(saved);
    const original = await readFile(join(saved, "config.json"), "utf8");
    const { format: _format, files: _files, ...unchanged } = artefact.manifest;
    const edit = (changes: Partial<Intervention>) => {
      const interventions = [{ ...artefact.manifest.interventions[0]!, ...changes } as Intervention];
      return pyveneFiles(sample({ ...unchanged, interventions }, new Map(artefact.tensors))).files;
    };
    expect(edit({}).get("config.json")).toBe(original);
    expect(edit({ strength: { default: 3, min: 0, max: 3 } }).get("config.json")).toBe(original);
    const moved = edit({ site: { layer: 21, component: "block_output", unit: "pos" } });
    expect(JSON.parse(moved.get("config.json") as string).representations[0].slice(0, 2)).toEqual([21, "block_output"]);
    expect([...moved.keys()]).toEqual(["config.json", "intkey_layer_21_comp_block_output_unit_pos_nunit_1#0.bin"]);
    for (const changes of [
      { kind: "subtraction" },
      { maxUnits: 2 },
      { dimension: 5 },
      { group: 0 },
      { link: 1 },
      { kind: "vanilla", tensors: {} },
    ] as const) {
      const tensors = "tensors" in changes ? new Map() : new Map(artefact.tensors);
      const interventions = [{ ...artefact.manifest.interventions[0]!, ...changes } as Intervention];
      expect(pyveneFiles(sample({ ...unchanged, interventions }, tensors)).files.get("config.json")).not.toBe(original);
    }
  });

  test("keys of a hostile manifest never name files", async () => {
    const [, saved] = savedByPyvene.find(([name]) => name === "smollm2/cheerful")!;
    const { artefact } = await readPyvene(saved);
    const { format: _format, files: _files, ...unchanged } = artefact.manifest;
    const hostile = sample(
      { ...unchanged, pyvene: { ...unchanged.pyvene!, keys: ["/../../x"] } },
      new Map(artefact.tensors),
    );
    expect([...pyveneFiles(hostile).files.keys()]).toEqual([
      "config.json",
      "intkey_layer_20_comp_block_output_unit_pos_nunit_1#0.bin",
    ]);
    const folder = await mkdtemp(join(await temporaryFolder(), "x"));
    await writeArtefact(join(folder, "a"), hostile);
    expect(await readdir(folder)).toEqual(["a"]);
  });
});

describe("what pyvene cannot take", () => {
  test.each<[string, Partial<Intervention>]>([
    ["an ONNX value", { site: { value: "/x", unit: "pos" } }],
    ["a blend of part strength", { kind: "vanilla", strength: { default: 0.5, min: 0, max: 1 } }],
    ["a list of features", { dimension: [0, 2] }],
    ["a group for one only", { group: 1 }],
    [
      "an unknown width",
      { kind: "collect", tensors: {}, site: { layer: 1, component: "mlp_activation", unit: "pos" } },
    ],
  ])("%s", async (_, changes) => {
    const tensors = "tensors" in changes ? new Map() : new Map([["one", vector]]);
    const artefact = sample({ interventions: [{ ...addition, ...changes } as Intervention, zero] }, tensors);
    expect(() => pyveneFiles(artefact)).toThrow(expect.objectContaining({ code: "pyvene-unwritable" }));
    const { files, notices } = artefactFiles(artefact);
    expect([...files.keys()]).toEqual(["intervention.json", "intervention.safetensors", "README.md"]);
    expect(notices).toEqual([expect.stringContaining("without files for pyvene: ")]);
    expect(files.get("README.md")).not.toContain("pyvene.IntervenableModel.load");
  });

  test("descending groups", () => {
    const grouped = sample({
      interventions: [
        { ...addition, group: 1 },
        { ...zero, group: 0 },
      ],
    });
    expect(() => pyveneFiles(grouped)).toThrow(/its group is 0, out of order/);
  });

  test("is not asked for with pyvene: false", () => {
    expect([...artefactFiles(sample(), { pyvene: false }).files.keys()]).toHaveLength(3);
    expect(artefactFiles({ ...sample() }).files.get("README.md")).toContain("pyvene.IntervenableModel.load");
    expect(draft.name).toBe("sample");
  });
});
