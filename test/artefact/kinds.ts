/** Interventions of every kind with random tensors, and folders of pyvene's with what one is told to put in. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Artefact, makeArtefact } from "../../src/artefact/artefact.ts";
import { orthogonalWeight } from "../../src/artefact/orthogonal.ts";
import { pythonJson } from "../../src/artefact/python-json.ts";
import { seededRandom } from "../../src/base/rng.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { encodeTorchFile } from "../../src/formats/torch-encode.ts";
import { type Intervention, usualStrength } from "../../src/spec/intervention.ts";
import { type Kind, kindSpecOf, kinds } from "../../src/spec/kinds.ts";
import { temporaryFolder } from "./places.ts";
import { draft } from "./samples.ts";

export interface Sizes {
  readonly d: number;
  readonly maxUnits: number;
  readonly r: number;
  readonly f: number;
}

export const usualSizes: Sizes = { d: 6, maxUnits: 1, r: 2, f: 9 };

export function randomTensor(shape: readonly number[], seed: number): Tensor {
  const { normal } = seededRandom(seed);
  const size = shape.reduce((product, length) => product * length, 1);
  return Tensor.float32(
    shape,
    Float32Array.from({ length: size }, () => normal()),
  );
}

/** k orthonormal columns: a random square one's first. */
export async function randomRotation(n: number, k: number, seed: number): Promise<Tensor> {
  const identity = Tensor.float32(
    [n, n],
    Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
  );
  const square = await orthogonalWeight(randomTensor([n, n], seed), identity);
  const values = square.toFloat32();
  return Tensor.float32(
    [n, k],
    Float32Array.from({ length: n * k }, (_, i) => values[Math.floor(i / k) * n + (i % k)]!),
  );
}

/** An artefact of one intervention of the kind at layer 1's block_output, with tensors as the kind needs them. */
export async function artefactOf(
  kind: Kind,
  sizes: Sizes = usualSizes,
  seed = 1,
  changes: Partial<Intervention> = {},
): Promise<Artefact> {
  const { tensors: roles, units, constantSource, trainable } = kindSpecOf(kind);
  const { d, maxUnits, r, f } = sizes;
  const n = units === "together" ? d * maxUnits : d;
  const lengths: { [symbol: string]: number } = { d, n, r, f, m: 3, 1: 1 };
  const tensors = new Map<string, Tensor>();
  const names: { [role: string]: string } = {};
  for (const [role, { shape, required }] of Object.entries(roles)) {
    const wantsSource = role === "source" && constantSource === "optional" && trainable.length === 0;
    if (!required && !wantsSource && role !== "projectionBias") continue;
    const size = shape
      .slice(1, -1)
      .split(", ")
      .filter((symbol) => symbol !== "...")
      .map((symbol) => lengths[symbol]!);
    names[role] = `key.${role}`;
    const made =
      role === "rotation" ? await randomRotation(size[0]!, size[1]!, seed) : randomTensor(size, seed + tensors.size);
    tensors.set(names[role], made);
  }
  const parameters = { lora: { scaling: 2 }, custom: { definition: "mine" } }[kind as string] ?? {};
  const intervention = {
    key: `layer_1_comp_block_output_unit_pos_nunit_${maxUnits}#0`,
    kind,
    site: { layer: 1, component: "block_output", unit: "pos" },
    maxUnits,
    parameters,
    tensors: names,
    dimension: null,
    strength: usualStrength(kind),
    tokens: { prompt: "none", generated: "all" },
    ...changes,
  } as Intervention;
  return makeArtefact({ ...draft, base: { ...draft.base, hiddenSize: d }, interventions: [intervention] }, tensors);
}

/** Kinds that pyvene loads again. */
export const loadableKinds = kinds.filter((kind) => {
  const { pyveneClass, pyveneCannotLoad } = kindSpecOf(kind);
  return pyveneClass !== undefined && pyveneCannotLoad === undefined;
});

/** A folder with a config.json and files by key. */
export async function savedFolder(
  config: object,
  states: { readonly [key: string]: ReadonlyMap<string, Tensor> } = {},
): Promise<string> {
  const folder = join(await temporaryFolder(), "saved");
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), pythonJson(config as never));
  for (const [key, state] of Object.entries(states)) {
    await writeFile(join(folder, `intkey_${key}.bin`), encodeTorchFile(state, { ordered: true }));
  }
  return folder;
}
