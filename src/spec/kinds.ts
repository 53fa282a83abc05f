/** The closed list of intervention kinds and, per kind, what a file may say about it: parameters, tensors, pyvene's class. */
import { z } from "zod";

/** Every kind vene knows. A new kind is a name here plus the rows that the compiler then demands. */
export const kinds = ["addition", "subtraction", "vanilla", "zero", "collect"] as const;

/** One of {@link kinds}. */
export type Kind = (typeof kinds)[number];

/** True for the name of a kind; for names that come from files and command lines. */
export function isKind(name: string): name is Kind {
  return (kinds as readonly string[]).includes(name);
}

/** One tensor that interventions of a kind may or must carry. */
export interface TensorRole {
  readonly required: boolean;
  /** Shape in symbols: d = width of the site, "..." = any leading dimensions that broadcast over [batch, positions]. */
  readonly shape: string;
  readonly description: string;
}

/** What is true of a kind wherever it is used. */
export interface KindSpec {
  /** What it does to the activation b, given a source s and a strength. */
  readonly description: string;
  /** Last part of the class name in pyvene's config.json. */
  readonly pyveneClass: string;
  /** Whether s can or must be a tensor stored in the artefact; "never" means that there is no s. */
  readonly constantSource: "required" | "optional" | "never";
  /**
   * What strength means: "factor" multiplies s; "blend" goes that part of the way from b to the result, so 1 is pyvene's
   * intervention; "none" has no effect. Strength 0 leaves the model as it is for every kind.
   */
  readonly strength: "factor" | "blend" | "none";
  /** Strict zod object of the named parameters. */
  readonly parameters: z.ZodObject;
  readonly tensors: { readonly [role: string]: TensorRole };
}

const noParameters = z.strictObject({});

const constantSource: TensorRole = {
  required: false,
  shape: "[..., d]",
  description: "the constant source: a vector of the site's width, or rows that broadcast over positions",
};

/** Facts per kind. b is the activation at the site, s the source, k = dimension (pyvene's interchange_dim) or the whole width. */
export const kindSpecs = {
  addition: {
    description: "b[:k] += strength * s[:k]",
    pyveneClass: "AdditionIntervention",
    constantSource: "optional",
    strength: "factor",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  subtraction: {
    description: "b[:k] -= strength * s[:k]",
    pyveneClass: "SubtractionIntervention",
    constantSource: "optional",
    strength: "factor",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  vanilla: {
    description: "b[:k] += strength * (s[:k] - b[:k]), the interchange intervention at strength 1",
    pyveneClass: "VanillaIntervention",
    constantSource: "optional",
    strength: "blend",
    parameters: noParameters,
    tensors: { source: constantSource },
  },
  zero: {
    description: "b[:k] -= strength * b[:k], so b[:k] = 0 at strength 1",
    pyveneClass: "ZeroIntervention",
    constantSource: "never",
    strength: "blend",
    parameters: noParameters,
    tensors: {},
  },
  collect: {
    description: "reads b[:k] and changes nothing",
    pyveneClass: "CollectIntervention",
    constantSource: "never",
    strength: "none",
    parameters: noParameters,
    tensors: {},
  },
} as const satisfies { readonly [K in Kind]: KindSpec };

/** The row of a kind, for code that handles all kinds alike. */
export function kindSpecOf(kind: Kind): KindSpec {
  return kindSpecs[kind];
}

/** The kind that a pyvene class name means ("AdditionIntervention", without its module), or undefined. */
export function kindOfPyveneClass(className: string): Kind | undefined {
  return kinds.find((kind) => kindSpecs[kind].pyveneClass === className);
}
