/** docs/kinds.md says what the code says, and what it says of each kind is so. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { pyveneFit } from "../src/artefact/pyvene-write.ts";
import { defineIntervention } from "../src/interventions/definitions.ts";
import type { RepresentationConfig } from "../src/runtime/intervenable/config.ts";
import type { ForwardInput } from "../src/runtime/intervenable/forward.ts";
import { IntervenableModel } from "../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../src/runtime/model.ts";
import { type Kind, kindSpecOf, kinds } from "../src/spec/kinds.ts";
import { fixture } from "./support/fixtures.ts";
import { expectGolden } from "./support/golden.ts";
import { type Generating, generatingWith, renderKindDocs, sourceNeedOf } from "./support/kind-docs.ts";
import { randomTensors } from "./support/operators.ts";
import { randomVector } from "./support/vectors.ts";

test("docs/kinds.md is what the table of kinds says", () => {
  expectGolden("docs/kinds.md", renderKindDocs());
});

const shift = defineIntervention({
  name: "test/shift",
  tensors: { by: "[n]" },
  emit: (builder, { base, tensors }) => builder.add("shifted", base, tensors["by"]!),
});

const sizes = { d: 32, n: 32, r: 4, f: 16, m: 32 };
const base = [[5, 9, 30, 2, 71, 8]];
const source = [[1, 44, 6, 90, 12, 3]];
const fourPositions = [0, 1, 2, 3];
const sides: ForwardInput["unitLocations"] = { "sources->base": [[[fourPositions]], [[fourPositions]]] };
const short = { maxNewTokens: 3, eosTokenIds: [] };

function representation(kind: Kind, more: Partial<RepresentationConfig> = {}): RepresentationConfig {
  const tensors =
    kind === "custom" ? { by: randomVector(32, 8) } : kind === "noise" ? {} : randomTensors(kind, sizes, 5);
  const parameters = kind === "lora" ? { parameters: { scaling: 2 } } : {};
  const interventionType = kind === "custom" ? shift : kind;
  return { layer: 1, component: "mlp_output", interventionType, tensors, ...parameters, ...more };
}

let model: Model;
let scratch: string;
beforeAll(async () => {
  model = await loadModel(fixture("models", "llama"));
  scratch = await mkdtemp(join(tmpdir(), "vene-kinds-"));
});
afterAll(async () => {
  await model.release();
  await rm(scratch, { recursive: true });
});

const build = (kind: Kind, more?: Partial<RepresentationConfig>) =>
  new IntervenableModel({ representations: representation(kind, more) }, model);
const invalidSources = { code: "sources-invalid" };

async function generatesAlone(kind: Kind): Promise<void> {
  expect((await build(kind).generate(base[0]!, short)).tokens).toHaveLength(3);
}

async function generatesFromRuns(kind: Kind): Promise<void> {
  await expect(build(kind).generate(base[0]!, short)).rejects.toMatchObject(invalidSources);
  const run = { ...short, sources: [source], unitLocations: sides };
  expect((await build(kind).generate(base[0]!, run)).tokens).toHaveLength(3);
}

/** What holds while generating, by what the table says of it. */
const generating = {
  policy: generatesAlone,
  async source(kind) {
    const constant = build(kind, { sourceRepresentation: randomVector(32, 9) });
    expect((await constant.generate(base[0]!, short)).tokens).toHaveLength(3);
    const { key } = constant.artefact.manifest.interventions[0]!;
    const given = { ...short, sourceRepresentations: { [key]: randomVector(32, 9) } };
    expect((await build(kind).generate(base[0]!, given)).tokens).toHaveLength(3);
    await generatesFromRuns(kind);
  },
  locations: generatesFromRuns,
  async positions(kind) {
    await expect(build(kind).generate(base[0]!, short)).rejects.toMatchObject(invalidSources);
    const four = { ...short, unitLocations: { base: [[fourPositions]] } };
    expect((await build(kind).generate(base[0]!, four)).tokens).toHaveLength(3);
    const own = build(kind, { tensors: { noise: randomVector(32, 4) } });
    expect((await own.generate(base[0]!, short)).tokens).toHaveLength(3);
  },
  async collect(kind) {
    const { collected } = await build(kind).generate(base[0]!, short);
    expect([...collected!.values()].map((rows) => rows.map(({ position }) => position))).toEqual([[6, 7]]);
    const four = { ...short, unitLocations: { base: [[fourPositions]] } };
    const located = (await build(kind).generate(base[0]!, four)).collected!;
    expect([...located.values()].map((rows) => rows.map(({ position }) => position))).toEqual([fourPositions]);
  },
  definition: generatesAlone,
} as const satisfies { readonly [G in Generating]: (kind: Kind) => Promise<void> };

describe.each(kinds)("%s", (kind) => {
  test("is saved and loaded to the same outputs", async () => {
    const built = build(kind);
    const run = async (iv: IntervenableModel) => {
      const sources = iv.needsSources ? [source] : undefined;
      const { intervened, collected } = await iv.forward({ base, sources, unitLocations: sides });
      return [intervened.logits, ...collected].map((tensor) => tensor.toFloat32());
    };
    const folder = join(scratch, kind);
    await built.save(folder);
    expect(await run(await IntervenableModel.load(folder, model, { strictBase: true }))).toEqual(await run(built));
  });

  test("needs the source, and has the trainable tensors, that its row says", () => {
    const built = build(kind);
    expect(built.needsSources).toBe(["either", "run"].includes(sourceNeedOf(kind)));
    const { key } = built.artefact.manifest.interventions[0]!;
    const { trainable } = kindSpecOf(kind);
    const present = kind === "custom" ? ["by"] : trainable.filter((role) => role !== "projectionBias");
    const found = [...build(kind).getTrainableParameters().keys()].filter((name) => !name.endsWith(".projectionBias"));
    expect(found.sort()).toEqual(present.map((role) => `${key}.${role}`).sort());
  });

  test("is written for pyvene where its row says so", () => {
    const { pyveneClass, pyveneCannotLoad } = kindSpecOf(kind);
    const { loadable } = pyveneFit(build(kind).artefact);
    expect(loadable).toBe(pyveneClass !== undefined && pyveneCannotLoad === undefined);
  });

  test("generates as its row says", async () => {
    await generating[generatingWith(kind)](kind);
  });
});
