/** Addition: a vector is added to what is there. Steering vectors are this. */
import type { AffineKind } from "./kind.ts";

/** pyvene's AdditionIntervention: b += s. Strength scales the vector. */
export const addition: AffineKind = {
  kind: "addition",
  affine: { keep: 1, gain: 1 },
  collects: false,
  sourceSide: "site",
};
