/** Small artefacts for the tests. */

import { type Artefact, type ManifestDraft, makeArtefact } from "../../src/artefact/artefact.ts";
import { Tensor } from "../../src/base/tensor.ts";
import type { Intervention } from "../../src/spec/intervention.ts";

const common = {
  maxUnits: 1,
  parameters: {},
  dimension: null,
  tokens: { prompt: "none", generated: "all" },
} as const;

export const addition: Intervention = {
  ...common,
  key: "layer_1_comp_block_output_unit_pos_nunit_1#0",
  kind: "addition",
  site: { layer: 1, component: "block_output", unit: "pos" },
  tensors: { source: "one" },
  strength: { default: 1, min: -4, max: 4 },
};

export const zero: Intervention = {
  ...common,
  key: "layer_2_comp_mlp_output_unit_pos_nunit_1#0",
  kind: "zero",
  site: { layer: 2, component: "mlp_output", unit: "pos" },
  tensors: {},
  strength: { default: 1, min: 0, max: 1 },
};

export const draft: ManifestDraft = {
  name: "sample",
  summary: "A sample.",
  license: "apache-2.0",
  base: { model: "me/model", architecture: "llama", layers: 4, hiddenSize: 4 },
  mode: "parallel",
  interventions: [addition, zero],
};

export const vector = Tensor.float32([4], [0.5, -1, 2, 0.25]);

/** An addition and an ablation on a model of hidden size 4. */
export function sample(changes: Partial<ManifestDraft> = {}, tensors = new Map([["one", vector]])): Artefact {
  return makeArtefact({ ...draft, ...changes }, tensors);
}
