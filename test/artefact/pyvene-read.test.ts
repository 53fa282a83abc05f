/** Reading what pyvene itself saved: real steering vectors on SmolLM2 and every conformance case. */
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { tensorOf } from "../../src/artefact/artefact.ts";
import { nameFrom, readPyvene } from "../../src/artefact/pyvene-read.ts";
import { withFile } from "../../src/base/bytes.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { kindSpecOf } from "../../src/spec/kinds.ts";
import { fixtures, savedByPyvene, temporaryFolder } from "./places.ts";

const smollm2 = (name: string) => join(fixtures, "smollm2", name, "saved");

describe("real artefacts on SmolLM2", () => {
  test("a steering vector at block_output", async () => {
    const { artefact, notices } = await readPyvene(smollm2("cheerful"));
    expect(artefact.manifest.interventions).toEqual([
      {
        key: "layer_20_comp_block_output_unit_pos_nunit_1#0",
        kind: "addition",
        site: { layer: 20, component: "block_output", unit: "pos" },
        maxUnits: 1,
        parameters: {},
        tensors: { source: "layer_20_comp_block_output_unit_pos_nunit_1#0.source" },
        dimension: 576,
        strength: { default: 1, min: -4, max: 4 },
        tokens: { prompt: "none", generated: "all" },
      },
    ]);
    expect(artefact.manifest.base).toEqual({ model: null, architecture: null, layers: null, hiddenSize: null });
    expect(artefact.manifest.pyvene!.era).toBe("14");
    const source = tensorOf(artefact, artefact.manifest.interventions[0]!, "source")!;
    expect([source.dtype, source.shape]).toEqual(["float32", [576]]);
    const config = JSON.parse(await readFile(join(smollm2("cheerful"), "config.json"), "utf8"));
    expect(artefact.manifest.pyvene!.config).toEqual(config);
    expect(notices).toHaveLength(1);
  });

  test("thirty module paths, each with its own layer", async () => {
    const { artefact } = await readPyvene(smollm2("cheerful-o-proj-all-layers"));
    expect(artefact.manifest.interventions.map(({ site }) => site)).toEqual(
      Array.from({ length: 30 }, (_, layer) => ({
        module: `model.layers[${layer}].self_attn.o_proj`,
        side: "output",
        unit: "pos",
      })),
    );
    expect(artefact.tensors.size).toBe(30);
  });

  test("an ablation and an interchange need no file", async () => {
    const zero = (await readPyvene(smollm2("no-mlp-20"))).artefact;
    expect(zero.manifest.interventions[0]).toMatchObject({
      kind: "zero",
      tensors: {},
      strength: { default: 1, min: 0, max: 1 },
    });
    const patch = (await readPyvene(smollm2("patch-last-token-26"))).artefact;
    expect(patch.manifest.interventions[0]).toMatchObject({ kind: "vanilla", tensors: {}, site: { layer: 26 } });
    expect(zero.tensors.size + patch.tensors.size).toBe(0);
  });
});

describe("conformance cases", () => {
  test.each(savedByPyvene.filter(([name]) => name.startsWith("cases")))("%s", async (_, saved) => {
    const { artefact } = await readPyvene(saved);
    const described = JSON.parse(await readFile(join(saved, "../case.json"), "utf8"));
    const truth = await withFile(join(saved, "../tensors.safetensors"), readSafetensors);
    expect(artefact.manifest.mode).toBe(described.mode);
    expect(artefact.manifest.pyvene!.keys).toEqual(described.keys);
    expect(artefact.manifest.interventions).toHaveLength(described.representations.length);
    for (const [index, intervention] of artefact.manifest.interventions.entries()) {
      const wanted = described.representations[index];
      expect(kindSpecOf(intervention.kind).pyveneClass).toBe(wanted.intervention_type);
      expect(intervention.key).toBe(described.keys[index]);
      expect(intervention.maxUnits).toBe(wanted.max_number_of_units ?? 1);
      expect(intervention.site.unit).toBe(wanted.unit ?? "pos");
      expect(intervention.group).toBe(wanted.group_key ?? undefined);
      expect(intervention.subspacePartition).toEqual(wanted.subspace_partition ?? undefined);
      const source = tensorOf(artefact, intervention, "source");
      const expected = truth.get(`param.${index}.source_representation`);
      expect(source === undefined).toBe(wanted.source_representation === undefined);
      if (source !== undefined) expect(source).toEqual(expected);
    }
  });
});

describe("damaged folders", () => {
  test("a missing vector is named with the three spellings tried", async () => {
    const folder = await temporaryFolder();
    await cp(smollm2("cheerful"), folder, { recursive: true });
    await rm(join(folder, "intkey_layer_20_comp_block_output_unit_pos_nunit_1#0.bin"));
    await expect(readPyvene(folder)).rejects.toMatchObject({
      code: "artefact-tensor",
      details: {
        tried: [
          "intkey_layer_20_comp_block_output_unit_pos_nunit_1#0.bin",
          "intkey_layer.20.comp.block_output.unit.pos.nunit.1#0.bin",
          "intkey_layer.20.repr.block_output.unit.pos.nunit.1#0.bin",
        ],
      },
    });
  });

  test("a file that is no torch file is refused as such", async () => {
    const folder = await temporaryFolder();
    await cp(smollm2("cheerful"), folder, { recursive: true });
    await writeFile(join(folder, "intkey_layer_20_comp_block_output_unit_pos_nunit_1#0.bin"), "hello");
    await expect(readPyvene(folder)).rejects.toMatchObject({ code: "zip-invalid" });
  });
});

test.each([
  ["My Vectors (v2)", "my-vectors-v2"],
  ["../..", "imported"],
  ["--x--", "x"],
  ["日本", "imported"],
  [`${"a".repeat(95)}-b`, "a".repeat(95)],
])("the name %j becomes %j", (text, name) => {
  expect(nameFrom(text)).toBe(name);
});
