/** The closed list of intervention kinds and, per kind, what a file may say about it: parameters, tensors, pyvene's class. */
import type { KindSpec } from "./kind-spec.ts";
import { adapterKinds } from "./kinds-adapters.ts";
import { affineKinds } from "./kinds-affine.ts";
import { autoencoderKinds } from "./kinds-autoencoders.ts";
import { subspaceKinds } from "./kinds-subspaces.ts";

/** Facts per kind. A new kind is a row in one of these plus the rows elsewhere that the compiler then demands. */
export const kindSpecs = { ...affineKinds, ...subspaceKinds, ...autoencoderKinds, ...adapterKinds } as const;

/** One of {@link kinds}. */
export type Kind = keyof typeof kindSpecs;

/** Every kind vene knows. */
export const kinds = Object.keys(kindSpecs) as readonly Kind[];

/** pyvene's and pyreft's class names that have a kind. */
export type PyveneClass = Exclude<(typeof kindSpecs)[Kind]["pyveneClass"], undefined>;

/** True for the name of a kind; for names that come from files and command lines. */
export function isKind(name: string): name is Kind {
  return Object.hasOwn(kindSpecs, name);
}

/** The row of a kind, for code that handles all kinds alike. */
export function kindSpecOf(kind: Kind): KindSpec {
  return kindSpecs[kind];
}

/** The kind that a pyvene class name means ("AdditionIntervention", without its module), or undefined. */
export function kindOfPyveneClass(className: string): Kind | undefined {
  return kinds.find((kind) => kindSpecs[kind].pyveneClass === className);
}
