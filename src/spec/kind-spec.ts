/** What a file may say about a kind of intervention: the shape of a row in the table of kinds, and what rows share. */
import { z } from "zod";

/** One tensor that interventions of a kind may or must carry. */
export interface TensorRole {
  readonly required: boolean;
  /**
   * Shape in symbols, each one size throughout an intervention: d = width of a unit of the site, n = what the intervention
   * acts on (d, or d x maxUnits where units are taken together), r = rank, f = latents; "..." = any leading dimensions that
   * broadcast over [batch, positions].
   */
  readonly shape: string;
  readonly description: string;
}

/** What is true of a kind wherever it is used. */
export interface KindSpec {
  /** What it does to the activation b, given a source s and a strength. */
  readonly description: string;
  /** Last part of the class name in pyvene's config.json; undefined: pyvene has no such class. */
  readonly pyveneClass: string | undefined;
  /** Module the class lives in, for config.json. */
  readonly pyveneModule?: "pyvene.models.interventions" | "pyreft.interventions";
  /** Why pyvene cannot load it again; absent where it can. */
  readonly pyveneCannotLoad?: string;
  /** Whether s can or must be a tensor stored in the artefact; "never" means that there is no s. */
  readonly constantSource: "required" | "optional" | "never";
  /**
   * What strength means: "factor" multiplies s; "blend" goes that part of the way from b to the result, so 1 is pyvene's
   * intervention; "none" has no effect. Strength 0 leaves the model as it is for every kind.
   */
  readonly strength: "factor" | "blend" | "none";
  /** "each": units are treated one by one; "together": a row's units are one vector (pyvene flattens them). */
  readonly units: "each" | "together";
  /** The symbol of the size that `dimension` and subspaces count in; absent where the kind has none to choose from. */
  readonly features?: "d" | "n" | "r" | "f";
  /** Strict zod object of the named parameters. */
  readonly parameters: z.ZodObject;
  readonly tensors: { readonly [role: string]: TensorRole };
  /** Whether a file may name tensors in roles of its own choosing. */
  readonly openTensors?: true;
  /** Roles of the tensors that training changes. */
  readonly trainable: readonly string[];
}

/** A tensor that must be there. */
export function role(shape: string, description: string): TensorRole {
  return { required: true, shape, description };
}

/** A tensor that may be there. */
export function optionalRole(shape: string, description: string): TensorRole {
  return { required: false, shape, description };
}

export const noParameters = z.strictObject({});

export const constantSource = optionalRole(
  "[..., d]",
  "the constant source: a vector of the site's width, or rows that broadcast over positions",
);

/** Smaller temperatures would divide by almost nothing. */
export const temperature = z.number().refine((value) => Math.abs(value) >= 1e-12, "must not be 0");

/** Activation functions that pyreft's classes know by name (transformers' ACT2FN), and "linear" for none. */
export const activations = ["linear", "relu", "gelu", "silu", "tanh", "sigmoid"] as const;

export type Activation = (typeof activations)[number];

export const activationParameter = z
  .enum(activations)
  .default("linear")
  .meta({ description: "applied to the learned source (pyreft's act_fn)" });
