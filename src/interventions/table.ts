/** The closed table of kinds: what the rest of the code asks when it needs to know how a kind behaves. */
import type { Kind } from "../spec/kinds.ts";
import { addition } from "./addition.ts";
import { autoencoder } from "./autoencoder.ts";
import { boundlessRotatedSpace } from "./boundless-rotated-space.ts";
import { collect } from "./collect.ts";
import { consreft } from "./consreft.ts";
import { direft } from "./direft.ts";
import { jumpReluAutoencoder } from "./jumprelu-autoencoder.ts";
import type { KindImplementation } from "./kind.ts";
import { lobireft } from "./lobireft.ts";
import { lora } from "./lora.ts";
import { loreft } from "./loreft.ts";
import { lowRankRotatedSpace } from "./low-rank-rotated-space.ts";
import { nodireft } from "./nodireft.ts";
import { noise } from "./noise.ts";
import { noreft } from "./noreft.ts";
import { pcaRotatedSpace } from "./pca-rotated-space.ts";
import { rotatedSpace } from "./rotated-space.ts";
import { sigmoidMask } from "./sigmoid-mask.ts";
import { sigmoidMaskRotatedSpace } from "./sigmoid-mask-rotated-space.ts";
import { skip } from "./skip.ts";
import { subtraction } from "./subtraction.ts";
import { vanilla } from "./vanilla.ts";
import { zero } from "./zero.ts";

/** Kinds whose maths is vene's own; "custom" stands for definitions that the user registers. */
export type BuiltInKind = Exclude<Kind, "custom">;

export const kindTable = {
  addition,
  subtraction,
  vanilla,
  zero,
  collect,
  noise,
  skip,
  "rotated-space": rotatedSpace,
  "low-rank-rotated-space": lowRankRotatedSpace,
  "boundless-rotated-space": boundlessRotatedSpace,
  "sigmoid-mask-rotated-space": sigmoidMaskRotatedSpace,
  "sigmoid-mask": sigmoidMask,
  "pca-rotated-space": pcaRotatedSpace,
  autoencoder,
  "jumprelu-autoencoder": jumpReluAutoencoder,
  loreft,
  noreft,
  consreft,
  lobireft,
  direft,
  nodireft,
  lora,
} as const satisfies { readonly [K in BuiltInKind]: KindImplementation };

export function isBuiltIn(kind: Kind): kind is BuiltInKind {
  return Object.hasOwn(kindTable, kind);
}
