/** Subtraction: a vector is taken from what is there. */
import type { AffineKind } from "./kind.ts";

/** pyvene's SubtractionIntervention: b -= s. Strength scales the vector. */
export const subtraction: AffineKind = {
  kind: "subtraction",
  affine: { keep: 1, gain: -1 },
  collects: false,
  sourceSide: "site",
};
