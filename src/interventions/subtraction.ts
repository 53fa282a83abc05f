/** Subtraction: a vector is taken from what is there. */
import type { KindImplementation } from "./kind.ts";

/** pyvene's SubtractionIntervention: b -= s. Strength scales the vector. */
export const subtraction: KindImplementation = { kind: "subtraction", affine: { keep: 1, gain: -1 }, collects: false };
