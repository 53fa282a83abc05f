/** Every case that pyvene was run on with these kinds: same logits, same tokens, same collected values. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import type { UnitLocations } from "../../src/runtime/intervenable/locations.ts";
import type { Subspaces } from "../../src/runtime/intervenable/subspaces.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { isKind, kindOfPyveneClass } from "../../src/spec/kinds.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";

interface PyveneRepresentation {
  readonly layer?: number;
  readonly component: string;
  readonly unit?: "pos" | "h" | "h.pos";
  readonly max_number_of_units?: number;
  readonly intervention_type: string;
  readonly source_representation?: unknown;
  readonly group_key?: number;
  readonly intervention_link_key?: number;
  readonly subspace_partition?: number[][];
}

interface Case {
  readonly mode: "parallel" | "serial";
  readonly representations: readonly PyveneRepresentation[];
  readonly unit_locations: UnitLocations | null;
  readonly subspaces: Subspaces | null;
  readonly sources: readonly (number | null)[];
  readonly generate: { intervene_on_prompt: boolean; max_new_tokens: number } | null;
  readonly keys: readonly string[];
}

type Tensors = ReadonlyMap<string, Tensor>;

function readCase(folder: string): Case {
  return JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as Case;
}

function representationsOf(one: Case, tensors: Tensors): RepresentationConfig[] {
  return one.representations.map((r, i) => ({
    component: r.component,
    interventionType: r.intervention_type,
    ...(r.layer === undefined ? {} : { layer: r.layer }),
    ...(r.unit === undefined ? {} : { unit: r.unit }),
    ...(r.max_number_of_units === undefined ? {} : { maxNumberOfUnits: r.max_number_of_units }),
    ...(r.group_key === undefined ? {} : { groupKey: r.group_key }),
    ...(r.subspace_partition === undefined ? {} : { subspacePartition: r.subspace_partition }),
    ...(r.source_representation === undefined
      ? {}
      : { sourceRepresentation: tensors.get(`param.${i}.source_representation`)! }),
  }));
}

function expectClose(found: Tensor, expected: Tensor): void {
  expect(found.shape).toEqual(expected.shape);
  const values = expected.toFloat32();
  expect(largestDifference(found.toFloat32(), values)).toBeLessThanOrEqual(1e-4 * rangeOf(values));
}

async function checkCase(iv: IntervenableModel, one: Case, tensors: Tensors): Promise<void> {
  const base = idsOf(tensors.get("base")!);
  const sources = one.sources.map((index) => (index === null ? null : idsOf(tensors.get(`source.${index}`)!)));
  if (one.generate !== null) {
    const { intervene_on_prompt: interveneOnPrompt, max_new_tokens: maxNewTokens } = one.generate;
    const options = { maxNewTokens, interveneOnPrompt, unitLocations: one.unit_locations, sources, eosTokenIds: [] };
    const rows = await iv.generate(base, options);
    const expected = idsOf(tensors.get("generated")!);
    expect(rows.map((row, r) => [...base[r]!, ...row.tokens])).toEqual(expected);
    const plain = await iv.model.generate(base, { maxNewTokens, eosTokenIds: [] });
    const original = idsOf(tensors.get("generated.original")!);
    expect(plain.map((row, r) => [...base[r]!, ...row.tokens])).toEqual(original);
    return;
  }
  const result = await iv.forward({ base, sources, unitLocations: one.unit_locations, subspaces: one.subspaces });
  expectClose(result.intervened.logits, tensors.get("logits")!);
  expectClose(result.original!.logits, tensors.get("logits.original")!);
  const collected = [...tensors.keys()].filter((name) => name.startsWith("collected."));
  expect(result.collected.length).toBe(collected.length);
  result.collected.forEach((tensor, i) => {
    expectClose(tensor, tensors.get(`collected.${i}`)!);
  });
}

describe.each(["gpt2", "llama"])("pyvene's cases on %s", (family) => {
  const root = fixture("cases", family);
  let model: Model;
  let scratch: string;
  beforeAll(async () => {
    model = await loadModel(fixture("models", family));
    scratch = await mkdtemp(join(tmpdir(), "vene-cases-"));
  });
  afterAll(async () => {
    await model.release();
    await rm(scratch, { recursive: true });
  });

  const names = readdirSync(root).filter((name) =>
    readCase(join(root, name)).representations.every(
      ({ intervention_type: type }) => isKind(type) || kindOfPyveneClass(type) !== undefined,
    ),
  );

  // pyvene reads per-row subspaces as one advanced index, so that every row gets the features of all rows.
  const pyveneSubspaces: Readonly<Record<string, Subspaces>> = {
    subspace_per_row: [
      [
        [0, 1],
        [0, 1],
        [0, 1],
      ],
    ],
  };

  test("there are many", () => {
    expect(names.length).toBeGreaterThanOrEqual(35);
  });

  test.each(names)("%s: from the config, from pyvene's folder, and after a round trip", async (name) => {
    const folder = join(root, name);
    const read = readCase(folder);
    const one = { ...read, subspaces: pyveneSubspaces[name] ?? read.subspaces };
    const tensors = await readTensors(join(folder, "tensors.safetensors"));
    const built = new IntervenableModel({ representations: representationsOf(one, tensors), mode: one.mode }, model);
    expect(built.artefact.manifest.interventions.map(({ key }) => key)).toEqual(one.keys);
    await checkCase(built, one, tensors);
    await checkCase(await IntervenableModel.load(join(folder, "saved"), model), one, tensors);
    await built.save(join(scratch, name));
    await checkCase(await IntervenableModel.load(join(scratch, name), model, { strictBase: true }), one, tensors);
  });

  test("subspace_per_row, done right: each row gets its own features", async () => {
    const folder = join(root, "subspace_per_row");
    const one = readCase(folder);
    const tensors = await readTensors(join(folder, "tensors.safetensors"));
    const iv = await IntervenableModel.load(join(folder, "saved"), model);
    const base = idsOf(tensors.get("base")!);
    const source = idsOf(tensors.get("source.0")!);
    const together = await iv.forward({
      base,
      sources: [source],
      unitLocations: one.unit_locations,
      subspaces: one.subspaces,
    });
    const size = together.intervened.logits.size / base.length;
    for (const [row, ids] of base.entries()) {
      const alone = await iv.forward({
        base: [ids],
        sources: [[source[row]!]],
        unitLocations: { "sources->base": [3, 3] },
        subspaces: [[one.subspaces![0]![row]!]],
      });
      const own = together.intervened.logits.toFloat32().subarray(row * size, (row + 1) * size);
      expect(largestDifference(alone.intervened.logits.toFloat32(), own)).toBeLessThan(1e-4);
      expect(largestDifference(alone.original!.logits.toFloat32(), own)).toBeGreaterThan(0.01);
    }
  });
});
