/** Folders as every release of pyvene laid them out, hand-made: field lists of each length, prefixes, objects, text, key spellings. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { pythonJson } from "../../src/artefact/python-json.ts";
import { parsePyveneConfig } from "../../src/artefact/pyvene-config.ts";
import { interventionKeys, pyveneKeys } from "../../src/artefact/pyvene-keys.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { encodeTorchFile } from "../../src/formats/torch-encode.ts";
import { layerOf } from "../../src/spec/sites.ts";
import { temporaryFolder } from "./places.ts";

const vector = Tensor.float32([3], [1, -2, 0.5]);
const additionType = "<class 'pyvene.models.interventions.AdditionIntervention'>";
const path = "model.layers[6].self_attn.o_proj.output";

/** A folder with a config and state dicts by key. */
async function folderOf(config: object, states: { [key: string]: Tensor } = {}): Promise<string> {
  const folder = join(await temporaryFolder(), "saved");
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), pythonJson(config as never));
  for (const [key, tensor] of Object.entries(states)) {
    await writeFile(
      join(folder, `intkey_${key}.bin`),
      encodeTorchFile(new Map([["source_representation", tensor]]), { ordered: true }),
    );
  }
  return folder;
}

const nulls = (count: number) => Array.from({ length: count }, () => null);
const partition = [
  [0, 1],
  [1, 3],
];

/** The fields of layer 7's block_output with a partition, group 2 and link 5, by layout. */
const layouts: { [fields: number]: unknown[] } = {
  8: [7, "block_output", "pos", 2, null, partition, 2, 5],
  10: [7, "block_output", "pos", 2, null, partition, 2, 5, null, null],
  11: [7, "block_output", "pos", 2, null, partition, 2, 5, null, null, null],
  12: [7, "block_output", "pos", 2, null, null, partition, 2, 5, null, null, true],
  13: [7, "block_output", "pos", 2, null, null, null, partition, 2, 5, null, null, true],
  14: [7, "block_output", "pos", 2, null, null, null, partition, 2, 5, null, null, true, null],
};

const described = {
  kind: "addition",
  site: { layer: 7, component: "block_output", unit: "pos" },
  maxUnits: 2,
  subspacePartition: partition,
  group: 2,
  link: 5,
};

describe("field lists", () => {
  test.each([
    [8, "alignable_", "alignable-8"],
    [8, "intervenable_", "intervenable-8"],
    [10, "intervenable_", "10"],
    [11, "intervenable_", "11"],
  ] as const)("%d fields under %s", async (fields, prefix, era) => {
    const config = {
      [`${prefix}representations`]: [layouts[fields]],
      [`${prefix}interventions_type`]: [additionType.replace("pyvene.", "")],
      [`${prefix}interventions`]: [null],
      [`${prefix}model_type`]: "<class 'transformers.models.llama.modeling_llama.LlamaForCausalLM'>",
      intervention_dimensions: [6],
      mode: "serial",
      sorted_keys: ["layer.7.repr.block_output.unit.pos.nunit.2#0"],
      transformers_version: "4.34.0",
    };
    const { artefact } = await readPyvene(await folderOf(config));
    expect(artefact.manifest).toMatchObject({
      mode: "serial",
      interventions: [{ ...described, dimension: 6, tensors: {} }],
      pyvene: { era, config, keys: ["layer.7.repr.block_output.unit.pos.nunit.2#0"] },
    });
  });

  test.each([
    [12, "old"],
    [13, "dotted"],
    [14, "underscore"],
  ] as const)("%d fields with a vector under the %s spelling", async (fields, spelling) => {
    const key = {
      old: "layer.7.repr.block_output.unit.pos.nunit.2#0",
      dotted: "layer.7.comp.block_output.unit.pos.nunit.2#0",
      underscore: "layer_7_comp_block_output_unit_pos_nunit_2#0",
    }[spelling];
    const config = {
      representations: [layouts[fields]],
      intervention_types: [additionType],
      intervention_dimensions: [null],
      ...(fields === 12 ? {} : { intervention_constant_sources: [true] }),
      mode: "parallel",
      sorted_keys: [key],
      eos_token_id: 2,
      use_cache: false,
    };
    const folder = await folderOf(config, { [key]: vector });
    const { artefact } = await readPyvene(folder);
    expect(artefact.manifest.interventions).toMatchObject([
      { ...described, key: "layer_7_comp_block_output_unit_pos_nunit_2#0", dimension: null },
    ]);
    expect(artefact.manifest.pyvene).toEqual({ era: String(fields), config, keys: [key] });
    expect([...artefact.tensors.values()]).toEqual([vector]);
    const written = join(await temporaryFolder(), "written");
    const { files } = await writeArtefact(written, artefact);
    expect(files).toContain(`intkey_${key}.bin`);
    expect(await readFile(join(written, "config.json"), "utf8")).toBe(
      await readFile(join(folder, "config.json"), "utf8"),
    );
    expect(await readArtefact(written)).toMatchObject({ artefact, source: "format1" });
  });

  test("no constant sources and no file: a source is given at run time", async () => {
    const config = { representations: [layouts[12]!.slice(0, 11).concat(null)], intervention_types: [additionType] };
    expect((await readPyvene(await folderOf(config))).artefact.manifest.interventions[0]).toMatchObject({
      tensors: {},
    });
  });

  test.each([0, 7, 9, 15])("%d fields are refused", (fields) => {
    const config = { representations: [nulls(fields)], intervention_types: [additionType] };
    expect(() => parsePyveneConfig(config)).toThrow(expect.objectContaining({ code: "pyvene-config" }));
  });
});

describe("objects and text in place of lists", () => {
  const named = {
    layer: 7,
    component: "block_output",
    unit: "pos",
    max_number_of_units: 2,
    subspace_partition: partition,
    group_key: 2,
    intervention_link_key: 5,
  };
  const text =
    "RepresentationConfig(layer=7, component='block_output', unit='pos', max_number_of_units=2, low_rank_dimension=None, intervention_type=None, " +
    "intervention=AdditionIntervention(), subspace_partition=[[0, 1], [1, 3]], group_key=2, intervention_link_key=5, moe_key=None, " +
    "source_representation=None, hidden_source_representation=None, latent_dim=None)";
  test.each<[string, unknown]>([
    ["an object", named],
    [
      "an object of the older names",
      {
        intervenable_layer: 7,
        intervenable_representation_type: "block_output",
        max_number_of_units: 2,
        subspace_partition: partition,
        group_key: 2,
        intervention_link_key: 5,
      },
    ],
    ["an object with its class", { ...named, intervention_type: "pyvene.AdditionIntervention" }],
    ["a namedtuple's text", text],
  ])("%s", (label, element) => {
    const types = label.includes("class") ? {} : { intervention_types: additionType };
    const config = parsePyveneConfig({ representations: [element], ...types } as never);
    expect(config).toMatchObject({ era: "named", mode: "parallel", interventions: [described] });
  });

  test("an empty object is pyvene's default place", () => {
    expect(
      parsePyveneConfig({ representations: [{}], intervention_types: [additionType] }).interventions,
    ).toMatchObject([{ site: { layer: 0, component: "block_output", unit: "pos" }, maxUnits: 1, dimension: null }]);
  });
});

describe("keys", () => {
  test("the three spellings, and the counter for equal places", () => {
    const block = { layer: 3, component: "head_value_output", unit: "h.pos", maxUnits: 1 };
    const module = { layer: 0, component: path, unit: "pos", maxUnits: 1 };
    expect(pyveneKeys([block, module, block, module]).slice(1)).toEqual([
      {
        underscore: "comp_model_layers[6]_self_attn_o_proj_output_unit_pos_nunit_1#0",
        dotted: "comp.model.layers[6].self_attn.o_proj.output.unit.pos.nunit.1#0",
        old: "layer.0.repr.model.layers[6].self_attn.o_proj.output.unit.pos.nunit.1#0",
      },
      {
        underscore: "layer_3_comp_head_value_output_unit_h_pos_nunit_1#1",
        dotted: "layer.3.comp.head_value_output.unit.h.pos.nunit.1#1",
        old: "layer.3.repr.head_value_output.unit.h.pos.nunit.1#1",
      },
      expect.objectContaining({ underscore: "comp_model_layers[6]_self_attn_o_proj_output_unit_pos_nunit_1#1" }),
    ]);
  });

  test("equal places have their own vectors", async () => {
    const representation = [0, path, "pos", 1, ...nulls(9)];
    const other = Tensor.float32([3], [9, 9, 9]);
    const folder = await folderOf(
      {
        representations: [representation, representation],
        intervention_types: [additionType, additionType],
        intervention_constant_sources: [true, true],
      },
      {
        "comp.model.layers[6].self_attn.o_proj.output.unit.pos.nunit.1#0": vector,
        "comp.model.layers[6].self_attn.o_proj.output.unit.pos.nunit.1#1": other,
      },
    );
    const { artefact } = await readPyvene(folder);
    expect([...artefact.tensors.values()]).toEqual([vector, other]);
    expect(artefact.manifest.interventions.map(({ site }) => layerOf(site))).toEqual([6, 6]);
  });

  test("ONNX values get keys of the same make", () => {
    const site = { value: "/model/layers.3/Add_output_0", unit: "pos" } as const;
    expect(
      interventionKeys([
        { site, maxUnits: 1 },
        { site, maxUnits: 1 },
      ]),
    ).toEqual([
      "comp_value__model_layers_3_Add_output_0_unit_pos_nunit_1#0",
      "comp_value__model_layers_3_Add_output_0_unit_pos_nunit_1#1",
    ]);
  });
});

describe("classes", () => {
  const typed = (type: unknown) => () =>
    parsePyveneConfig({ representations: [layouts[14]], intervention_types: [type] } as never);
  test.each([
    ["<class 'pyvene.models.interventions.ZeroIntervention'>", "zero"],
    ["<class '__main__.CollectIntervention'>", "collect"],
    ["easysteer.reft.VanillaIntervention", "vanilla"],
    ["SubtractionIntervention", "subtraction"],
  ])("%s is %s, wherever it comes from", (type, kind) => {
    expect(typed(type)().interventions[0]!.kind).toBe(kind);
  });

  test.each([
    ["<class 'os.system'>", "system"],
    ["<class 'x.constructor'>", "constructor"],
    ["", ""],
    ["<class 'pyvene.models.interventions.LambdaIntervention'>", "LambdaIntervention"],
  ])("%s is refused by name, where no tensors tell", async (type, className) => {
    expect(typed(type)().interventions[0]!.kind).toBeUndefined();
    const folder = await folderOf({ representations: [layouts[14]], intervention_types: [type] });
    await expect(readPyvene(folder)).rejects.toMatchObject({
      code: "pyvene-class",
      message: expect.stringContaining(`of the class ${JSON.stringify(className)}, which vene does not know`),
      details: { className, candidates: [] },
    });
  });
});

describe("configs that make no sense", () => {
  const base = { representations: [layouts[14]], intervention_types: [additionType] };
  const place = (changes: { [index: number]: unknown }) => ({
    ...base,
    representations: [layouts[14]!.map((value, index) => (index in changes ? changes[index] : value))],
  });
  test.each<[string, unknown]>([
    ["a list", []],
    ["nothing", {}],
    ["no representation", { ...base, representations: [] }],
    ["representations that are none", { ...base, representations: "x" }],
    ["an element that is none", { ...base, representations: [3] }],
    ["too few types", { ...base, intervention_types: [] }],
    ["too many dimensions", { ...base, intervention_dimensions: [1, 2] }],
    ["a dimension of text", { ...base, intervention_dimensions: ["x"] }],
    ["a negative dimension", { ...base, intervention_dimensions: [-1] }],
    ["an odd mode", { ...base, mode: "sideways" }],
    ["a layer of text", place({ 0: "7" })],
    ["a fractional layer", place({ 0: 1.5 })],
    ["a layer far away", place({ 0: 1e6 })],
    ["an unknown component", place({ 1: "language.block_output" })],
    ["a path out of the folder", place({ 1: "../../etc/passwd.output" })],
    ["a unit that does not exist", place({ 2: "head" })],
    ["no units", place({ 3: 0 })],
    ["a partition of text", place({ 7: [["a"]] })],
    ["a group of text", place({ 8: "a" })],
    ["a link that is a list", place({ 9: [1] })],
  ])("%s", (_, config) => {
    expect(() => parsePyveneConfig(config as never)).toThrow(expect.objectContaining({ code: "pyvene-config" }));
  });

  test("random damage gives a config or a coded error", () => {
    const config = {
      ...base,
      intervention_dimensions: [null],
      intervention_constant_sources: [true],
      mode: "parallel",
    };
    const keys = Object.keys(config);
    fc.assert(
      fc.property(fc.constantFrom(...keys, "field"), fc.nat(13), fc.jsonValue(), (key, index, value) => {
        const damaged = key === "field" ? place({ [index]: value }) : { ...config, [key]: value };
        try {
          expect(parsePyveneConfig(damaged as never).interventions.length).toBeGreaterThan(0);
        } catch (thrown) {
          expect((thrown as { code: string }).code).toBe("pyvene-config");
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("maxUnits beyond the format is refused, not allocated", async () => {
    const folder = await folderOf(place({ 3: 2 ** 30, 12: null }));
    await expect(readPyvene(folder)).rejects.toMatchObject({ code: "manifest-invalid" });
  });
});
