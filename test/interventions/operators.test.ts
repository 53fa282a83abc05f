/** Each kind with nodes of its own, on real models, against its plain-JS maths: any shape, strength, place and choice. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import { isAffine, type OperatorKind } from "../../src/interventions/kind.ts";
import { type BuiltInKind, kindTable } from "../../src/interventions/table.ts";
import type { RepresentationConfig } from "../../src/runtime/intervenable/config.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel, type Model } from "../../src/runtime/model.ts";
import { kindSpecOf } from "../../src/spec/kinds.ts";
import { fixture } from "../support/fixtures.ts";
import { expectedBlock, randomTensors } from "../support/operators.ts";
import { randomVector } from "../support/vectors.ts";

const operators = (Object.keys(kindTable) as BuiltInKind[]).filter((kind) => !isAffine(kindTable[kind]));

const parametersOf: Readonly<Record<string, Readonly<Record<string, number | string>>[]>> = {
  "boundless-rotated-space": [{ temperature: 3 }, { temperature: 0.5 }],
  "sigmoid-mask-rotated-space": [{ temperature: 0.7 }],
  "sigmoid-mask": [{ temperature: 0.2 }],
  loreft: [{ activation: "linear" }, { activation: "relu" }, { activation: "gelu" }],
  noreft: [{ activation: "silu" }, { activation: "tanh" }],
  direft: [{ activation: "sigmoid" }],
  nodireft: [{ activation: "linear" }],
  lora: [{ scaling: 2 }],
};

/** Heads x head size differs from the hidden size in qwen3 and gemma. */
const models = ["llama", "gpt2", "qwen3", "gemma"] as const;
const shapes = [
  [1, 1],
  [1, 6],
  [3, 1],
  [2, 5],
] as const;
const [R, F] = [3, 12];

const random = seededRandom(41);
const ids = (rows: number, columns: number) =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => Math.floor(random.uniform() * 96)));

describe.each(models)("on %s", (name) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(fixture("models", name));
  });
  afterAll(() => model.release());

  const widthOf = (component: string, perHead: boolean) => {
    const place = model.sites.locate({ layer: 1, component: component as "block_output", unit: "pos" });
    return perHead ? place.heads!.size : place.width;
  };

  describe.each(operators)("%s", (kind) => {
    const spec = kindSpecOf(kind);
    const implementation = kindTable[kind] as OperatorKind;
    const lists = parametersOf[kind] ?? [{}];
    const takesSource = implementation.takesSource;

    const check = async (
      component: string,
      unit: "pos" | "h",
      parameters: Readonly<Record<string, number | string>>,
    ) => {
      const width = widthOf(component, unit === "h");
      const input = implementation.takesInput ? "mlp_input" : undefined;
      const m = input === undefined ? 0 : widthOf(input, false);
      const tensors = randomTensors(kind, { d: width, n: width, r: R, f: F, m }, 5);
      const source = randomVector(width, 77);
      const at = { layer: 1, component, unit } as const;
      const collect: RepresentationConfig = { ...at, interventionType: "collect" };
      const chosen = spec.features === undefined ? undefined : spec.features === "f" ? [0, 5, 7] : [0, 2];
      const representation: RepresentationConfig = {
        ...at,
        interventionType: kind,
        tensors,
        parameters,
        ...(takesSource ? { sourceRepresentation: source } : {}),
        ...(chosen === undefined ? {} : { dimension: chosen }),
      };
      const reads = input === undefined ? [] : [{ layer: 1, component: input, interventionType: "collect" }];
      const iv = new IntervenableModel({ representations: [...reads, collect, representation, collect] }, model);
      const size = { n: width, d: width, r: R, f: F }[spec.features ?? "d"];
      const select = chosen && Array.from({ length: size }, (_, i) => (chosen.includes(i) ? 1 : 0));
      for (const [rows, columns] of shapes) {
        const base = ids(rows, columns);
        for (const strength of [0, 0.5, 1, -1]) {
          const collected = (await iv.collect({ base, strength })).map((tensor) => tensor.toFloat32());
          const [before, after] = collected.slice(-2) as [Float32Array, Float32Array];
          if (strength === 0) {
            expect(after).toEqual(before);
            continue;
          }
          let scale = 0;
          let worst = 0;
          let moved = 0;
          for (let block = 0; block * width < before.length; block++) {
            const own = before.subarray(block * width, (block + 1) * width);
            const numbers = {
              base: own,
              ...(takesSource ? { source } : {}),
              ...(input === undefined ? {} : { input: collected[0]!.subarray(block * m, (block + 1) * m) }),
              ...(select === undefined ? {} : { select }),
            };
            const expected = expectedBlock(implementation, tensors, parameters, numbers, strength);
            expected.forEach((value, i) => {
              scale = Math.max(scale, Math.abs(value));
              worst = Math.max(worst, Math.abs(value - after[block * width + i]!));
              moved = Math.max(moved, Math.abs(value - own[i]!));
            });
          }
          expect(worst / scale).toBeLessThan(2e-6);
          expect(moved).toBeGreaterThan(1e-3);
        }
      }
    };

    test.each(lists)("%j at mlp_output", async (parameters) => {
      await check("mlp_output", "pos", parameters);
    });

    if (!implementation.takesInput) {
      test("head by head", async () => {
        await check("head_attention_value_output", "h", lists[0]!);
      });
    }
  });
});
