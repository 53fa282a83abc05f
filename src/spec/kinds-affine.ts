/** Kinds that add, take away or replace features where they are, in the site's own basis. */
import { z } from "zod";
import { constantSource, type KindSpec, noParameters, optionalRole } from "./kind-spec.ts";

const own = { pyveneModule: "pyvene.models.interventions", units: "each", trainable: [] } as const;

/** b is the activation, s the source, k = dimension (pyvene's interchange_dim) or the whole width. */
export const affineKinds = {
  addition: {
    ...own,
    description: "b[:k] += strength * s[:k]",
    pyveneClass: "AdditionIntervention",
    constantSource: "optional",
    strength: "factor",
    features: "d",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  subtraction: {
    ...own,
    description: "b[:k] -= strength * s[:k]",
    pyveneClass: "SubtractionIntervention",
    constantSource: "optional",
    strength: "factor",
    features: "d",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  vanilla: {
    ...own,
    description: "b[:k] += strength * (s[:k] - b[:k]), the interchange intervention at strength 1",
    pyveneClass: "VanillaIntervention",
    constantSource: "optional",
    strength: "blend",
    features: "d",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  zero: {
    ...own,
    description: "b[:k] -= strength * b[:k], so b[:k] = 0 at strength 1",
    pyveneClass: "ZeroIntervention",
    constantSource: "never",
    strength: "blend",
    features: "d",
    parameters: noParameters,
    tensors: {},
  },
  collect: {
    ...own,
    description: "reads b[:k] and changes nothing",
    pyveneClass: "CollectIntervention",
    constantSource: "never",
    strength: "none",
    features: "d",
    parameters: noParameters,
    tensors: {},
  },
  noise: {
    ...own,
    description: "b[:k] += strength * level * noise[:k]",
    pyveneClass: "NoiseIntervention",
    pyveneCannotLoad: "pyvene's load opens a file for it that its save never wrote",
    constantSource: "never",
    strength: "factor",
    features: "d",
    parameters: z.strictObject({
      level: z
        .number()
        .default(0.13462981581687927)
        .meta({ description: "factor of the noise; the default is pyvene's noise_level" }),
    }),
    tensors: {
      noise: optionalRole("[..., d]", "the noise; without it pyvene's: numpy's RandomState(1).randn over 4 positions"),
    },
  },
  skip: {
    ...own,
    description:
      "b[:k] += strength * (i[:k] - b[:k]), i = the module's input in the source's run: the module is skipped",
    pyveneClass: "SkipIntervention",
    constantSource: "never",
    strength: "blend",
    features: "d",
    parameters: noParameters,
    tensors: {},
  },
} as const satisfies Readonly<Record<string, KindSpec>>;
