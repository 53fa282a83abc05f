/** Kinds that learn what to write instead of taking it from a source: pyreft's ReFT family, LoRA, and the user's own. */
import { z } from "zod";
import { activationParameter, constantSource, type KindSpec, noParameters, optionalRole, role } from "./kind-spec.ts";

const learned = { constantSource: "never", strength: "blend", units: "each" } as const;
const reft = { ...learned, pyveneModule: "pyreft.interventions" } as const;
const reftParameters = z.strictObject({ activation: activationParameter });
const ctor = "pyreft's class asks for add_bias, which pyvene does not store";

const rotation = role("[d, r]", "r orthonormal columns R (rotate_layer)");
const weight = role("[r, d]", "W of the learned source");
const bias = role("[r]", "b of the learned source");
const projection = role("[r, d]", "P (proj_layer.weight)");
const projectionBias = optionalRole("[r]", "c (proj_layer.bias)");

/** Name of a user's own intervention. */
export const definitionName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._/-]{0,94}[a-z0-9])?$/)
  .meta({ description: "name that the definition was registered under" });

/** h = the activation, act = the parameter `activation`. */
export const adapterKinds = {
  loreft: {
    ...reft,
    description: "h + (act(W h + b) - R' h) R': LoReFT (Wu et al. 2024)",
    pyveneClass: "LoreftIntervention",
    parameters: reftParameters,
    tensors: { rotation, weight, bias },
    trainable: ["rotation", "weight", "bias"],
  },
  noreft: {
    ...reft,
    description: "h + P' (act(W h + b) - (P h + c)): LoReFT without orthogonality",
    pyveneClass: "NoreftIntervention",
    pyveneCannotLoad: ctor,
    parameters: reftParameters,
    tensors: { projection, projectionBias, weight, bias },
    trainable: ["projection", "projectionBias", "weight", "bias"],
  },
  consreft: {
    ...reft,
    description: "h + R (b - R' h): a learned constant in the subspace",
    pyveneClass: "ConsreftIntervention",
    parameters: noParameters,
    tensors: { rotation, bias },
    trainable: ["rotation", "bias"],
  },
  lobireft: {
    ...reft,
    description: "h + R b: a learned bias in the subspace",
    pyveneClass: "LobireftIntervention",
    parameters: noParameters,
    tensors: { rotation, bias },
    trainable: ["rotation", "bias"],
  },
  direft: {
    ...reft,
    description: "h + R act(W h + b)",
    pyveneClass: "DireftIntervention",
    parameters: reftParameters,
    tensors: { rotation, weight, bias },
    trainable: ["rotation", "weight", "bias"],
  },
  nodireft: {
    ...reft,
    description: "h + P' act(W h + b)",
    pyveneClass: "NodireftIntervention",
    pyveneCannotLoad: ctor,
    parameters: reftParameters,
    tensors: { projection, projectionBias, weight, bias },
    trainable: ["projection", "weight", "bias"],
  },
  lora: {
    ...learned,
    description: "y + scaling B A x, x = the module's input, y = its output: LoRA (Hu et al. 2021; PEFT)",
    pyveneClass: undefined,
    parameters: z.strictObject({
      scaling: z.number().meta({ description: "alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA" }),
    }),
    tensors: { a: role("[r, m]", "A (lora_A.weight); m = width of the input"), b: role("[d, r]", "B (lora_B.weight)") },
    trainable: ["a", "b"],
  },
  custom: {
    ...learned,
    description: "what a registered definition emits (defineIntervention); a file only names it and holds its tensors",
    pyveneClass: undefined,
    constantSource: "optional",
    parameters: z
      .object({ definition: definitionName })
      .catchall(z.union([z.string().max(200), z.number(), z.boolean()])),
    tensors: { source: constantSource },
    openTensors: true,
    trainable: [],
  },
} as const satisfies Readonly<Record<string, KindSpec>>;
