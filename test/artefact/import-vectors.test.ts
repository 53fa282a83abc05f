/** The honest-LLaMA vectors that the Hub's intervenable_honest_llama2_chat_7B was made from. */
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { tensorOf } from "../../src/artefact/artefact.ts";
import { importVectorDict } from "../../src/artefact/import-vectors.ts";
import { layerOf } from "../../src/spec/sites.ts";
import { fixtures } from "./places.ts";

const path = join(fixtures, "wild/pyvene/honest_llama2_chat_7B_o_proj_add_activations.bin");
const options = {
  name: "honest-llama2-chat-7b",
  baseModel: "meta-llama/Llama-2-7b-chat-hf",
  architecture: "llama",
  module: "model.layers[{layer}].self_attn.o_proj.output",
};

describe("importVectorDict", () => {
  test("fourteen layers of thirty-two are not all zero", async () => {
    const { manifest } = await importVectorDict(path, options);
    expect(manifest.interventions.map(({ site }) => layerOf(site))).toEqual([
      6, 9, 10, 11, 12, 13, 14, 15, 16, 21, 26, 27, 30, 31,
    ]);
    expect(manifest.interventions[0]).toMatchObject({
      key: "comp_model_layers[6]_self_attn_o_proj_output_unit_pos_nunit_1#0",
      kind: "addition",
      site: { module: "model.layers[6].self_attn.o_proj", side: "output", unit: "pos" },
    });
    expect(manifest.base).toEqual({
      model: "meta-llama/Llama-2-7b-chat-hf",
      architecture: "llama",
      layers: 32,
      hiddenSize: 4096,
    });
    expect(manifest.provenance!.sourceFiles).toEqual([
      {
        name: "honest_llama2_chat_7B_o_proj_add_activations.bin",
        sha256: "018d4c471535d0de4ba092ec77976f6124fa3d06bd51dab44bff7afcb3c3cb8f",
      },
    ]);
  });

  test("the vectors are the file's, in bfloat16", async () => {
    const artefact = await importVectorDict(path, options);
    const norms = artefact.manifest.interventions.map((intervention) => {
      const tensor = tensorOf(artefact, intervention, "source")!;
      expect([tensor.dtype, tensor.shape]).toEqual(["bfloat16", [4096]]);
      return Math.hypot(...tensor.toFloat32());
    });
    const known = [
      1.060534, 3.990878, 2.280456, 5.985681, 5.515499, 9.676828, 4.268, 6.137242, 2.767469, 3.883729, 7.008487,
      0.992296, 5.866653, 3.717929,
    ];
    for (const [index, norm] of norms.entries()) expect(norm).toBeCloseTo(known[index]!, 5);
    expect(Math.hypot(...norms)).toBeCloseTo(18.950208, 4);
    const first = tensorOf(artefact, artefact.manifest.interventions[0]!, "source")!.toFloat32();
    expect([...first.subarray(0, 3)]).toEqual([-0.0098876953125, 0.0087890625, 0.00201416015625]);
  });

  test("a component does as well as a module path", async () => {
    const { manifest } = await importVectorDict(path, {
      ...options,
      module: "attention_output",
      strength: { default: 2, min: 0, max: 3 },
    });
    expect(manifest.interventions.at(-1)).toMatchObject({
      key: "layer_31_comp_attention_output_unit_pos_nunit_1#0",
      site: { layer: 31, component: "attention_output", unit: "pos" },
      strength: { default: 2, min: 0, max: 3 },
    });
  });

  test.each([
    ["a path without {layer}", "model.layers[6].self_attn.o_proj.output", "site-unknown"],
    ["an unknown component", "residual", "site-unknown"],
    ["a path out of the model", "../{layer}.output", "site-unknown"],
  ])("%s is refused", async (_, module, code) => {
    await expect(importVectorDict(path, { ...options, module })).rejects.toMatchObject({ code });
  });

  test("a state dict is not one vector per layer", async () => {
    const state = join(fixtures, "smollm2/cheerful/saved/intkey_layer_20_comp_block_output_unit_pos_nunit_1#0.bin");
    await expect(importVectorDict(state, options)).rejects.toMatchObject({
      code: "artefact-tensor",
      message: expect.stringContaining('its key "embed_dim" is no layer'),
    });
  });
});
