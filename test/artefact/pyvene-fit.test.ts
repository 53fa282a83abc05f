/** What pyvene cannot take or gets wrong, kind by kind, and classes told by their tensors. */
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Artefact, makeArtefact, tensorOf } from "../../src/artefact/artefact.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { needsState, type State, writeState } from "../../src/artefact/pyvene-state.ts";
import { pyveneFiles, pyveneFit, writePyvene } from "../../src/artefact/pyvene-write.ts";
import { artefactFiles } from "../../src/artefact/read.ts";
import { Tensor } from "../../src/base/tensor.ts";
import type { Intervention } from "../../src/spec/intervention.ts";
import { type Kind, kindSpecOf } from "../../src/spec/kinds.ts";
import { artefactOf, loadableKinds, randomRotation, randomTensor, savedFolder, usualSizes } from "./kinds.ts";
import { fixtures, temporaryFolder } from "./places.ts";

const only = (artefact: Artefact): Intervention => artefact.manifest.interventions[0]!;
const key = "layer_1_comp_block_output_unit_pos_nunit_1#0";
const site = (component: string) => ({ site: { layer: 1, component, unit: "pos" } }) as Partial<Intervention>;

describe("what pyvene cannot load", () => {
  test.each<[Kind, Partial<Intervention>, RegExp]>([
    ["noreft", {}, /a noreft is a NoreftIntervention, and pyreft's class asks for add_bias/],
    ["nodireft", {}, /a nodireft is a NodireftIntervention, and/],
    ["pca-rotated-space", {}, /and pyvene stores no components/],
    ["noise", {}, /opens a file for it that its save never wrote/],
    ["lora", {}, /pyvene has nothing like a lora/],
    ["custom", {}, /pyvene has nothing like a custom/],
    ["rotated-space", { strength: { default: 0.5, min: 0, max: 1 } }, /its strength is 0\.5/],
    ["loreft", { strength: { default: 0.5, min: 0, max: 1 } }, /its strength is 0\.5/],
    ["rotated-space", { site: { module: "a.b[1]", side: "output", unit: "pos" } }, /knows no width at a module path/],
    ["sigmoid-mask", { maxUnits: 2 }, /for 2 units together/],
    ["jumprelu-autoencoder", { dimension: [1] }, /a list of features/],
    [
      "low-rank-rotated-space",
      { dimension: 1 },
      /the first 1 of 2 features, and a low-rank-rotated-space of pyvene on all/,
    ],
  ])("%s %j", async (kind, changes, why) => {
    const artefact = await artefactOf(kind, usualSizes, 1, changes);
    const failure = {
      code: "pyvene-unwritable",
      message: expect.stringMatching(why),
      details: { why: expect.any(String), key },
    };
    await expect(writePyvene(join(await temporaryFolder(), "x"), artefact)).rejects.toMatchObject(failure);
    const { files, notices } = artefactFiles(artefact);
    expect([...files.keys()]).toEqual(["intervention.json", "intervention.safetensors", "README.md"]);
    expect(notices).toEqual([expect.stringMatching(why)]);
    expect(pyveneFit(artefact)).toEqual({ loadable: false, notices: [expect.stringMatching(why)] });
  });

  test("a constant source of a kind that is trained", async () => {
    const { manifest, tensors } = await artefactOf("sigmoid-mask");
    const intervention = { ...manifest.interventions[0]!, tensors: { mask: "key.mask", source: "s" } } as Intervention;
    const all = new Map([...tensors, ["s", randomTensor([6], 2)]]);
    const artefact = makeArtefact({ ...manifest, interventions: [intervention] }, all);
    expect(pyveneFit(artefact).notices).toEqual([
      expect.stringMatching(/ignores the constant source of a sigmoid-mask/),
    ]);
  });

  test("sites that pyvene takes for hidden_size wide", async () => {
    const { manifest, tensors } = await artefactOf("sigmoid-mask", usualSizes, 1, site("query_output"));
    const on = (hiddenSize: number) =>
      pyveneFit(makeArtefact({ ...manifest, base: { ...manifest.base, hiddenSize } }, tensors));
    expect(on(6)).toEqual({ loadable: true, notices: [] });
    expect(on(4).notices).toEqual([
      expect.stringMatching(/query_output is 6 wide, and pyvene would take it for hidden_size, 4/),
    ]);
  });

  test("linked interventions that differ", async () => {
    const { manifest, tensors } = await artefactOf("addition");
    const first = { ...manifest.interventions[0]!, link: 3 } as Intervention;
    const second = {
      ...first,
      key: "other",
      site: { layer: 2, component: "block_output", unit: "pos" },
    } as Intervention;
    const linked = (changes: Partial<Intervention>, more: [string, Tensor][] = []) =>
      makeArtefact(
        { ...manifest, interventions: [first, { ...second, ...changes } as Intervention] },
        new Map([...tensors, ...more]),
      );
    expect(pyveneFit(linked({}))).toEqual({ loadable: true, notices: [] });
    expect([...pyveneFiles(linked({})).files.keys()]).toEqual([
      "config.json",
      `intkey_${key}.bin`,
      "intkey_layer_2_comp_block_output_unit_pos_nunit_1#0.bin",
    ]);
    const differing = [
      linked({ strength: { default: 2, min: 0, max: 2 } }),
      linked({ tensors: { source: "t" } }, [["t", randomTensor([6], 9)]]),
    ];
    for (const artefact of differing)
      expect(pyveneFit(artefact).notices[0]).toMatch(/is linked to layer_1\S+, and is not the same/);
  });
});

describe("what pyvene does not store", () => {
  test("an activation, digits of pyreft's linear layers, tokens", async () => {
    const loreft = await artefactOf("loreft", usualSizes, 1, {
      parameters: { activation: "relu" },
      tokens: { prompt: "all", generated: "none" },
    } as Partial<Intervention>);
    const { loadable, notices } = pyveneFit(loreft);
    expect([loadable, notices]).toEqual([
      true,
      [
        expect.stringMatching(/no tokens policy/),
        expect.stringMatching(/does not store the activation \(\S+ has relu\)/),
        expect.stringMatching(/bfloat16: pyvene will round those of/),
      ],
    ]);
    expect(artefactFiles(loreft).notices).toEqual(notices);
    expect((await artefactOf("lobireft").then(pyveneFit)).notices).toEqual([]);
  });

  test("folders that pyvene saved and then mistakes", async () => {
    const of = async (name: string) =>
      pyveneFit((await readPyvene(join(fixtures, "cases/llama", name, "saved"))).artefact).notices;
    expect((await of("collect"))[0]).toMatch(/pyvene cannot load \S+ from a folder that pyvene saved/);
    expect(await of("vanilla_query_output")).toEqual([
      expect.stringMatching(/on the first 32 features: pyvene takes such a site/),
    ]);
    expect(await of("vanilla_block_output")).toEqual([]);
    const state = new Map([["source_representation", randomTensor([3], 1)]]);
    const dotted = await savedFolder(configFor("AdditionIntervention", true), {
      "layer.1.comp.block_output.unit.pos.nunit.1#0": state,
    });
    expect(pyveneFit((await readPyvene(dotted)).artefact).notices).toEqual([expect.stringMatching(/up to 0\.1\.6/)]);
  });
});

function configFor(className: string, constant = false, rank: number | null = null, link: number | null = null) {
  const representation = [1, "block_output", "pos", 1, rank, null, null, null, null, link, null, null, null, null];
  return {
    representations: [representation],
    intervention_types: [`<class '__main__.${className}'>`],
    intervention_constant_sources: [constant],
    intervention_dimensions: [null],
    mode: "parallel",
  };
}

/** A kind's state dict with random tensors. */
async function stateOf(kind: Kind, seed = 1): Promise<Map<string, Tensor>> {
  const artefact = await artefactOf(kind, usualSizes, seed);
  return new Map(writeState(artefact, only(artefact), true)!);
}

describe("classes that only their tensors tell", () => {
  test.each<Kind>([
    "rotated-space",
    "low-rank-rotated-space",
    "boundless-rotated-space",
    "sigmoid-mask-rotated-space",
    "sigmoid-mask",
    "autoencoder",
    "jumprelu-autoencoder",
    "loreft",
    "direft",
  ])("%s", async (kind) => {
    const folder = await savedFolder(configFor("Mine"), { [key]: await stateOf(kind) });
    const { artefact, notices } = await readPyvene(folder);
    expect(only(artefact).kind).toBe(kind);
    expect(notices[1]).toMatch(new RegExp(`of the class "Mine": by its tensors it is read as an? ${kind}$`));
    // A class of somebody's own cannot be loaded elsewhere: pyvene gets its own.
    const config = JSON.parse(pyveneFiles(artefact).files.get("config.json") as string);
    expect(config.intervention_types).toEqual([
      `<class '${kindSpecOf(kind).pyveneModule}.${kindSpecOf(kind).pyveneClass}'>`,
    ]);
  });

  test.each<[string, readonly Kind[], () => Promise<State>]>([
    ["consreft or lobireft", ["consreft", "lobireft"], () => stateOf("consreft")],
    ["noreft or nodireft", ["noreft", "nodireft"], () => stateOf("noreft")],
    ["a source alone", [], async () => new Map([["source_representation", randomTensor([6], 1)]])],
    ["something else", [], async () => new Map([["mask", randomTensor([6], 1)]])],
  ])("%s: not told", async (_, candidates, state) => {
    const folder = await savedFolder(configFor("Mine"), { [key]: await state() });
    await expect(readPyvene(folder)).rejects.toMatchObject({ code: "pyvene-class", details: { candidates } });
  });

  test.each<[string, Kind]>([
    ["NoreftIntervention", "noreft"],
    ["NodireftIntervention", "nodireft"],
    ["ConsreftIntervention", "consreft"],
    ["LobireftIntervention", "lobireft"],
  ])("%s is told by its name", async (name, kind) => {
    const { artefact } = await readPyvene(await savedFolder(configFor(name), { [key]: await stateOf(kind) }));
    const made = await artefactOf(kind);
    expect(only(artefact).kind).toBe(kind);
    for (const role of Object.keys(only(made).tensors)) {
      expect(tensorOf(artefact, only(artefact), role)).toEqual(tensorOf(made, only(made), role));
    }
  });

  test("tensors over a name that they contradict", async () => {
    const folder = await savedFolder(configFor("LoreftIntervention"), { [key]: await stateOf("direft") });
    const { artefact, notices } = await readPyvene(folder);
    expect(only(artefact).kind).toBe("direft");
    expect(notices[1]).toContain('of the class "LoreftIntervention": by its tensors it is read as a direft');
  });
});

describe("files that do not add up", () => {
  const rotatedWithout = async (name: string) => {
    const state = await stateOf("rotated-space");
    state.delete(name);
    return state;
  };
  test.each<[string, string, () => Promise<State> | undefined, string]>([
    ["no file", "RotatedSpaceIntervention", () => undefined, "artefact-tensor"],
    ["no components", "PCARotatedSpaceIntervention", () => undefined, "artefact-tensor"],
    [
      "no base",
      "RotatedSpaceIntervention",
      () => rotatedWithout("rotate_layer.parametrizations.weight.0.base"),
      "artefact-tensor",
    ],
    [
      "a base of another size",
      "RotatedSpaceIntervention",
      async () =>
        new Map(await stateOf("rotated-space")).set(
          "rotate_layer.parametrizations.weight.0.base",
          randomTensor([2, 2], 1),
        ),
      "artefact-tensor",
    ],
    [
      "a temperature of two",
      "SigmoidMaskIntervention",
      async () => new Map(await stateOf("sigmoid-mask")).set("temperature", Tensor.float32([2], [1, 2])),
      "artefact-tensor",
    ],
    [
      "a temperature of 0",
      "SigmoidMaskIntervention",
      async () => new Map(await stateOf("sigmoid-mask")).set("temperature", Tensor.float32([], [0])),
      "manifest-invalid",
    ],
    [
      "NaN",
      "SigmoidMaskIntervention",
      async () => new Map(await stateOf("sigmoid-mask")).set("mask", Tensor.float32([2], [1, Number.NaN])),
      "tensor-invalid",
    ],
    [
      "sizes that disagree",
      "JumpReLUAutoencoderIntervention",
      async () => new Map(await stateOf("jumprelu-autoencoder")).set("b_enc", randomTensor([4], 1)),
      "artefact-tensor",
    ],
    [
      "a rotation wider than high",
      "LoreftIntervention",
      async () =>
        new Map([
          ["weight", randomTensor([3, 2], 1)],
          ["bias", randomTensor([3], 1)],
          ["rotate_layer", randomTensor([2, 3], 1)],
        ]),
      "artefact-tensor",
    ],
  ])("%s", async (_, className, state, code) => {
    const made = await state();
    const folder = await savedFolder(configFor(className), made === undefined ? {} : { [key]: made });
    await expect(readPyvene(folder)).rejects.toMatchObject({ code });
  });

  test("random damage gives an artefact or a coded error", async () => {
    const shapes = [[], [1], [6], [2, 6], [6, 6], [0], [2, 2, 2]];
    const damaged = fc.record({
      kind: fc.constantFrom(...loadableKinds.filter(needsState)),
      name: fc.option(fc.constantFrom("Mine", "BiasIntervention"), { nil: undefined }),
      at: fc.nat(9),
      shape: fc.option(fc.constantFrom(...shapes), { nil: undefined }),
      dtype: fc.constantFrom("float32", "int64"),
      extra: fc.constantFrom(undefined, "bias", "interchange_dim", "source_representation"),
    });
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(damaged, async ({ kind, name, at, shape, dtype, extra }) => {
        const state = await stateOf(kind);
        const hit = [...state.keys()][at % state.size]!;
        const made = randomTensor(shape ?? [], 5);
        const tensor = dtype === "int64" ? Tensor.int64(made.shape, [...made.toFloat32()].map(Math.round)) : made;
        if (shape === undefined) state.delete(hit);
        else state.set(hit, tensor);
        if (extra !== undefined) state.set(extra, tensor);
        const folder = await savedFolder(configFor(name ?? kindSpecOf(kind).pyveneClass!), { [key]: state });
        const outcome = await readPyvene(folder).then(
          () => "read",
          (thrown: { code?: string }) => thrown.code ?? String(thrown),
        );
        outcomes.add(outcome);
        expect(["read", "artefact-tensor", "manifest-invalid", "pyvene-class", "tensor-invalid"]).toContain(outcome);
      }),
      { numRuns: 250 },
    );
    expect(outcomes.size).toBeGreaterThan(2);
  });

  test("a temperature in bfloat16 is a number", async () => {
    const state = (await stateOf("sigmoid-mask")).set("temperature", Tensor.float32([], [0.3]).to("bfloat16"));
    const { artefact } = await readPyvene(await savedFolder(configFor("SigmoidMaskIntervention"), { [key]: state }));
    expect(only(artefact).parameters).toEqual({ temperature: 0.30078125 });
  });

  test("what pyvene ignores is left out, with a notice", async () => {
    const state = (await stateOf("sigmoid-mask")).set("source_representation", randomTensor([6], 1));
    const { artefact, notices } = await readPyvene(
      await savedFolder(configFor("SigmoidMaskIntervention"), { [key]: state }),
    );
    expect(Object.keys(only(artefact).tensors)).toEqual(["mask"]);
    expect(notices[1]).toMatch(/its file also has source_representation, which pyvene does not use/);
  });

  test("a rank in the config that the tensors do not have", async () => {
    const folder = await savedFolder(configFor("LowRankRotatedSpaceIntervention", false, 4), {
      [key]: await stateOf("low-rank-rotated-space"),
    });
    const { artefact, notices } = await readPyvene(folder);
    expect(notices[1]).toBe(`${key}: the config's low_rank_dimension is 4, its tensors have 2, which holds`);
    const config = JSON.parse(pyveneFiles(artefact).files.get("config.json") as string);
    expect(config.representations[0][4]).toBe(2);
  });

  test("of linked files that differ the last holds, as in pyvene", async () => {
    const { representations, ...rest } = configFor("LowRankRotatedSpaceIntervention", false, 2, 7);
    const two = [representations[0]!, representations[0]!.with(0, 2)];
    const config = {
      ...rest,
      representations: two,
      intervention_types: [rest.intervention_types[0], rest.intervention_types[0]],
      intervention_constant_sources: [false, false],
      intervention_dimensions: [6, 6],
    };
    const last = await stateOf("low-rank-rotated-space", 2);
    const folder = await savedFolder(config, {
      [key]: await stateOf("low-rank-rotated-space", 1),
      "layer_2_comp_block_output_unit_pos_nunit_1#0": last,
    });
    const { artefact, notices } = await readPyvene(folder);
    expect(notices[1]).toMatch(/are linked, but their files differ: as in pyvene, the last one's hold/);
    expect([...artefact.tensors]).toEqual([[`${key}.rotation`, await randomRotation(6, 2, 2)]]);
    expect(artefact.manifest.interventions.map(({ tensors }) => tensors)).toEqual([
      { rotation: `${key}.rotation` },
      { rotation: `${key}.rotation` },
    ]);
  });
});

describe("sizes of tensors in format 1", () => {
  test("units together: n is maxUnits widths", async () => {
    const { manifest, tensors } = await artefactOf("low-rank-rotated-space", { ...usualSizes, maxUnits: 2 });
    const with_ = (maxUnits: number, hiddenSize: number | null) => () =>
      makeArtefact(
        {
          ...manifest,
          base: { ...manifest.base, hiddenSize },
          interventions: [{ ...manifest.interventions[0]!, maxUnits } as Intervention],
        },
        tensors,
      );
    expect(with_(2, 6)).not.toThrow();
    expect(with_(4, null)).not.toThrow();
    expect(with_(2, 12)).toThrow(/n is 24 here, not 12/);
    expect(with_(5, null)).toThrow(/n is 12, no multiple of 5 units/);
  });

  test("a definition's own tensors may be of any shape, but finite", async () => {
    const { manifest } = await artefactOf("custom");
    const custom = (tensor: Tensor) => () =>
      makeArtefact(
        {
          ...manifest,
          interventions: [{ ...manifest.interventions[0]!, tensors: { mine: "m" } } as unknown as Intervention],
        },
        new Map([["m", tensor]]),
      );
    expect(custom(randomTensor([2, 3, 4], 1))).not.toThrow();
    expect(custom(Tensor.float32([], [1]))).not.toThrow();
    expect(custom(Tensor.float32([1], [Number.NaN]))).toThrow(expect.objectContaining({ code: "tensor-invalid" }));
    expect(custom(Tensor.int64([1], [1]))).toThrow(expect.objectContaining({ code: "artefact-tensor" }));
  });
});
