/** Kinds that exchange part of the activation in another basis: trained rotations (DAS), masks, principal components. */
import { z } from "zod";
import { constantSource, type KindSpec, noParameters, role, temperature } from "./kind-spec.ts";

const own = { pyveneModule: "pyvene.models.interventions", constantSource: "optional", strength: "blend" } as const;
const together = { ...own, units: "together" } as const;

const square = role("[n, n]", "orthogonal matrix W; its columns are the new basis (pyvene's rotate_layer.weight)");

/** W = rotation, rb = b W, rs = s W. At strength 1 the result is as described; below, that part of the way from b to it. */
export const subspaceKinds = {
  "rotated-space": {
    ...together,
    description: "b + ((rs - rb) on the first k columns, or on the subspaces chosen) W': distributed interchange (DAS)",
    pyveneClass: "RotatedSpaceIntervention",
    features: "n",
    parameters: noParameters,
    tensors: { rotation: square, source: constantSource },
    trainable: ["rotation"],
  },
  "low-rank-rotated-space": {
    ...together,
    description: "b + (rs - rb) W' with W of rank r: interchange in a subspace of r dimensions",
    pyveneClass: "LowRankRotatedSpaceIntervention",
    features: "r",
    parameters: noParameters,
    tensors: {
      rotation: role("[n, r]", "r orthonormal columns W that span the subspace (pyvene's rotate_layer.weight)"),
      source: constantSource,
    },
    trainable: ["rotation"],
  },
  "boundless-rotated-space": {
    ...together,
    description:
      "b + m (rs - rb) W', m_i = sigmoid(i / T) sigmoid((c n - i) / T), c = boundary clipped to [0.001, 1]: boundless DAS",
    pyveneClass: "BoundlessRotatedSpaceIntervention",
    parameters: z.strictObject({ temperature: temperature.default(50) }),
    tensors: {
      rotation: square,
      boundary: role("[1]", "where the mask ends, as a part of n (pyvene's intervention_boundaries)"),
      source: constantSource,
    },
    trainable: ["rotation", "boundary"],
  },
  "sigmoid-mask-rotated-space": {
    ...together,
    description: "b + sigmoid(masks / T) (rs - rb) W'",
    pyveneClass: "SigmoidMaskRotatedSpaceIntervention",
    parameters: z.strictObject({ temperature: temperature.default(50) }),
    tensors: { rotation: square, masks: role("[n]", "one logit per column of W"), source: constantSource },
    trainable: ["rotation", "masks"],
  },
  "sigmoid-mask": {
    ...own,
    units: "each",
    description: "b + sigmoid(mask / T) (s - b)",
    pyveneClass: "SigmoidMaskIntervention",
    parameters: z.strictObject({ temperature: temperature.default(0.01) }),
    tensors: { mask: role("[d]", "one logit per feature"), source: constantSource },
    trainable: ["mask"],
  },
  "pca-rotated-space": {
    ...together,
    description: "with x~ = (x - mean) / std and components C: (b~ C', its first k exchanged for s~ C') C std + mean",
    pyveneClass: "PCARotatedSpaceIntervention",
    pyveneCannotLoad: "pyvene stores no components and cannot build the class without them",
    features: "r",
    parameters: noParameters,
    tensors: {
      components: role("[r, n]", "principal components as rows (scikit-learn's components_)"),
      mean: role("[n]", "subtracted before"),
      std: role("[n]", "divided by before"),
      source: constantSource,
    },
    trainable: [],
  },
} as const satisfies Readonly<Record<string, KindSpec>>;
