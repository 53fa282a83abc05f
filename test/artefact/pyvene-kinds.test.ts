/** Every kind to pyvene's files and back, bit for bit, and out of the files of every era. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Artefact, tensorOf } from "../../src/artefact/artefact.ts";
import { type keySpellings, pyveneKeys } from "../../src/artefact/pyvene-keys.ts";
import { entriesOf } from "../../src/artefact/pyvene-layouts.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { writeState } from "../../src/artefact/pyvene-state.ts";
import { writePyvene } from "../../src/artefact/pyvene-write.ts";
import { readArtefact } from "../../src/artefact/read.ts";
import { withFile } from "../../src/base/bytes.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import type { Intervention } from "../../src/spec/intervention.ts";
import { type Kind, kindSpecOf } from "../../src/spec/kinds.ts";
import { artefactOf, loadableKinds, savedFolder, usualSizes } from "./kinds.ts";
import { fixtures, temporaryFolder } from "./places.ts";

const only = (artefact: Artefact): Intervention => artefact.manifest.interventions[0]!;

/** Tensors by role. */
function byRole(artefact: Artefact): Map<string, unknown> {
  return new Map(Object.keys(only(artefact).tensors).map((role) => [role, tensorOf(artefact, only(artefact), role)]));
}

describe("written and read again", () => {
  test.each(loadableKinds)("%s", async (kind) => {
    const { units, trainable, features } = kindSpecOf(kind);
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          d: fc.integer({ min: 2, max: 7 }),
          maxUnits: fc.integer({ min: 1, max: 3 }),
          f: fc.integer({ min: 1, max: 9 }),
        }),
        fc.nat(),
        async ({ d, maxUnits: drawn, f }, seed) => {
          const maxUnits = units === "each" && trainable.length > 0 ? 1 : drawn;
          const sizes = { d, maxUnits, r: 1 + (seed % d), f };
          const dimension = dimensionFor(kind, features, sizes, seed);
          const artefact = await artefactOf(kind, sizes, seed, { dimension });
          const folder = join(await temporaryFolder(), "written");
          await writePyvene(folder, artefact);
          const { artefact: again } = await readPyvene(folder);
          expect(byRole(again)).toEqual(byRole(artefact));
          const { site, maxUnits: written } = only(artefact);
          expect(only(again)).toMatchObject({ kind, site, maxUnits: written });
          expect(inSinglePrecision(only(again))).toEqual(inSinglePrecision(only(artefact)));
          if (dimension !== null) expect(only(again).dimension).toEqual(dimension);
        },
      ),
      { numRuns: 8 },
    );
  });

  /** Parameters as files have them. */
  function inSinglePrecision({ parameters }: Intervention): unknown[] {
    return Object.entries(parameters).map(([name, value]) => [
      name,
      typeof value === "number" ? Math.fround(value) : value,
    ]);
  }

  function dimensionFor(kind: Kind, features: string | undefined, { d, f }: { d: number; f: number }, seed: number) {
    if (kind === "autoencoder")
      return seed % 3 === 0 ? null : [...new Set([seed % f, (seed >> 3) % f])].sort((a, b) => a - b);
    if (kind === "jumprelu-autoencoder") return seed % 2 === 0 ? null : 1 + (seed % f);
    return (features === "d" || features === "n") && seed % 2 === 1 ? 1 + (seed % d) : null;
  }

  test("temperatures, activations and prefixes that pyvene knows come back", async () => {
    const boundless = await artefactOf("boundless-rotated-space", usualSizes, 1, {
      parameters: { temperature: 0.375 },
    });
    const state = writeState(boundless, only(boundless), true)!;
    expect([...state.keys()]).toEqual([
      "intervention_boundaries",
      "temperature",
      "intervention_population",
      "embed_dim",
      "interchange_dim",
      "rotate_layer.parametrizations.weight.original",
      "rotate_layer.parametrizations.weight.0.base",
    ]);
    expect(state.get("temperature")!.toNumbers()).toEqual([0.375]);
    expect(state.get("intervention_population")!.toNumbers()).toEqual([0, 1, 2, 3, 4, 5]);
    const two = await artefactOf("low-rank-rotated-space", { ...usualSizes, maxUnits: 2 });
    expect(writeState(two, only(two), true)!.get("embed_dim")!.toNumbers()).toEqual([12]);
    expect([...writeState(two, only(two), false)!.keys()]).not.toContain("embed_dim");
  });

  test("an autoencoder's interchange_dim is one latent, several, or all", async () => {
    const dims = async (dimension: number[] | null) => {
      const artefact = await artefactOf("autoencoder", usualSizes, 1, { dimension });
      return writeState(artefact, only(artefact), true)!.get("interchange_dim")!;
    };
    expect([(await dims([0])).shape, (await dims([0])).toNumbers()]).toEqual([[], [0]]);
    expect([(await dims([2, 5])).shape, (await dims([2, 5])).toNumbers()]).toEqual([[2], [2, 5]]);
    expect((await dims(null)).toNumbers()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe("what pyvene saved in its conformance cases", () => {
  const cases = ["gpt2", "llama"].flatMap((family) =>
    readdirSync(join(fixtures, "cases", family)).map((name) => [`${family}/${name}`] as const),
  );
  test.each(cases)("%s: every tensor is the one pyvene computed with", async (name) => {
    const folder = join(fixtures, "cases", name);
    const truth = await withFile(join(folder, "tensors.safetensors"), readSafetensors);
    const { artefact } = await readPyvene(join(folder, "saved"));
    for (const [i, intervention] of artefact.manifest.interventions.entries()) {
      // Of linked ones the files hold what the last was trained to.
      const at = name.endsWith("trained_linked") ? 1 : i;
      const parameters: { readonly [name: string]: unknown } = intervention.parameters;
      for (const entry of entriesOf(intervention.kind)) {
        const param = truth.get(`param.${at}.${entry.key}`);
        if ("role" in entry) expect(tensorOf(artefact, intervention, entry.role)).toEqual(param);
        if ("parameter" in entry) expect(parameters[entry.parameter]).toBe(param!.toNumbers()[0]);
        if ("orthogonal" in entry) {
          const found = tensorOf(artefact, intervention, entry.orthogonal)!.toFloat32();
          const wanted = truth.get(`effective.${at}.rotate_layer.weight`)!.toFloat32();
          expect(Math.max(...found.map((value, j) => Math.abs(value - wanted[j]!)))).toBeLessThan(1e-6);
        }
      }
      const embed = truth.get(`param.${at}.embed_dim`)?.toNumbers()[0];
      if (intervention.kind === "autoencoder") expect(intervention.dimension).toEqual([embed]);
      if (intervention.kind === "jumprelu-autoencoder") expect(intervention.dimension).toBe(embed);
      if (intervention.kind === "low-rank-rotated-space") expect(intervention.dimension).toBeNull();
    }
  });

  test("linked interventions share one tensor", async () => {
    const { artefact, notices } = await readPyvene(join(fixtures, "cases/llama/trained_linked/saved"));
    const [first, second] = artefact.manifest.interventions;
    expect(second!.tensors).toEqual(first!.tensors);
    expect([...artefact.tensors.keys()]).toEqual([`${first!.key}.rotation`]);
    expect(notices).toHaveLength(1);
  });

  test("columns that training let decay are a notice, not an error", async () => {
    const { notices } = await readArtefact(join(fixtures, "cases/llama/trained_LowRankRotatedSpaceIntervention/saved"));
    expect(notices[1]).toMatch(/the columns of its rotation are off from orthonormal by 1\.0/);
  });
});

const path = "block_output";
const nulls = (count: number): null[] => new Array<null>(count).fill(null);

/** The representation of layer 1's block_output in each era, given the ranks. */
const eras: readonly (readonly [
  era: string,
  prefix: string,
  spelling: (typeof keySpellings)[number],
  list: (rank: number | null, latents: number | null) => unknown[],
])[] = [
  ["alignable-8", "alignable_", "old", (rank) => [1, path, "pos", 1, rank, ...nulls(3)]],
  ["intervenable-8", "intervenable_", "old", (rank) => [1, path, "pos", 1, rank, ...nulls(3)]],
  ["10", "intervenable_", "old", (rank) => [1, path, "pos", 1, rank, ...nulls(5)]],
  ["11", "intervenable_", "old", (rank) => [1, path, "pos", 1, rank, ...nulls(6)]],
  ["12", "", "old", (rank) => [1, path, "pos", 1, rank, ...nulls(7)]],
  ["13", "", "dotted", (rank) => [1, path, "pos", 1, rank, ...nulls(8)]],
  ["14", "", "underscore", (rank, latents) => [1, path, "pos", 1, rank, ...nulls(8), latents]],
];

describe.each(eras)("era %s", (era, prefix, spelling, list) => {
  const kinds: readonly Kind[] = [
    "addition",
    "low-rank-rotated-space",
    "rotated-space",
    "boundless-rotated-space",
    "autoencoder",
    "jumprelu-autoencoder",
    "loreft",
  ];
  test.each(kinds)("%s", async (kind) => {
    const old = prefix !== "";
    const { d, r, f } = usualSizes;
    const ranks: { [K in Kind]?: number } = { "low-rank-rotated-space": r, loreft: r, "jumprelu-autoencoder": f };
    const whole: { [K in Kind]?: number | number[] } = {
      addition: d,
      "rotated-space": d,
      autoencoder: [d],
      "jumprelu-autoencoder": d,
    };
    const dimension = whole[kind] ?? null;
    const made = await artefactOf(kind, usualSizes, 3, { dimension });
    const state = writeState(made, only(made), !old)!;
    const key = pyveneKeys([{ layer: 1, component: path, unit: "pos", maxUnits: 1 }])[0]![spelling];
    const { pyveneModule, pyveneClass } = kindSpecOf(kind);
    const config = {
      [`${prefix}representations`]: [list(ranks[kind] ?? null, kind === "autoencoder" ? f : null)],
      [old ? `${prefix}interventions_type` : "intervention_types"]: [`<class '${pyveneModule}.${pyveneClass}'>`],
      intervention_dimensions: [d],
      ...(old || era === "12" ? {} : { intervention_constant_sources: [kind === "addition" || kind === "loreft"] }),
      mode: "parallel",
      sorted_keys: [key],
    };
    const folder = await savedFolder(config, { [key]: state });
    const { artefact } = await readPyvene(folder);
    expect(artefact.manifest.pyvene).toEqual({ era, config, keys: [key] });
    expect(byRole(artefact)).toEqual(byRole(made));
    // Where files have no interchange_dim, the config's holds.
    expect(only(artefact).dimension).toEqual(dimension);

    const back = join(await temporaryFolder(), "back");
    const { files } = await writePyvene(back, artefact);
    const again = await readPyvene(back);
    expect(byRole(again.artefact)).toEqual(byRole(made));
    // Before there was latent_dim no release could build an autoencoder again, so that goes into a config of today's.
    if (kind !== "autoencoder" || era === "14") {
      expect(files).toContain(`intkey_${key}.bin`);
      expect(again.artefact.manifest.pyvene!.config).toEqual(config);
    }
  });
});

describe("in the wild", () => {
  const wild = (name: string) => readArtefact(join(fixtures, "wild/easysteer", name));
  test.each([
    ["emoji_bias", 2],
    ["emoji_loreft", 4],
    ["reft_loreft", 4],
  ])("EasySteer's %s is a LoReFT of rank %d", async (name, rank) => {
    const { artefact, notices } = await wild(name);
    expect(only(artefact)).toMatchObject({ kind: "loreft", dimension: null, parameters: { activation: "linear" } });
    expect(tensorOf(artefact, only(artefact), "weight")).toMatchObject({ dtype: "bfloat16", shape: [rank, 1536] });
    expect(tensorOf(artefact, only(artefact), "bias")).toMatchObject({ dtype: "bfloat16", shape: [rank] });
    expect(tensorOf(artefact, only(artefact), "rotation")).toMatchObject({ dtype: "float32", shape: [1536, rank] });
    expect(notices[1]).toContain("does not store the act_fn of a loreft");
    expect(notices).toHaveLength(2);
  });

  test("numbers of reft_loreft", async () => {
    const { artefact } = await wild("reft_loreft");
    const of = (role: string) => tensorOf(artefact, only(artefact), role)!.toFloat32();
    expect(Math.hypot(...of("weight"))).toBeCloseTo(3.134056, 5);
    expect(of("bias")[0]).toBeCloseTo(0.06298828, 8);
    expect(of("rotation")[0]).toBeCloseTo(-0.00410402, 8);
  });

  test("a BiasIntervention is an addition, said so, and goes to pyvene as one", async () => {
    const { artefact, notices } = await wild("reft_ssv");
    expect(only(artefact).kind).toBe("addition");
    const source = tensorOf(artefact, only(artefact), "source")!;
    expect([source.shape, Math.hypot(...source.toFloat32())]).toEqual([[1536], expect.closeTo(14.065144, 5)]);
    expect(notices[1]).toBe(
      'intervention 0 is of the class "BiasIntervention": by its tensors it is read as an addition',
    );
    const folder = join(await temporaryFolder(), "written");
    await writePyvene(folder, artefact);
    const again = await readPyvene(folder);
    expect(only(again.artefact).kind).toBe("addition");
    expect(byRole(again.artefact)).toEqual(byRole(artefact));
    expect(again.artefact.manifest.pyvene!.config["intervention_types"]).toEqual([
      "<class 'pyvene.models.interventions.AdditionIntervention'>",
    ]);
  });
});
