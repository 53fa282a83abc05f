/** Vanilla: the interchange intervention, the base's value is replaced by the source's. */
import type { AffineKind } from "./kind.ts";

/** pyvene's VanillaIntervention: b = s. Strength below 1 mixes: (1 - strength) b + strength s. */
export const vanilla: AffineKind = {
  kind: "vanilla",
  affine: { keep: 0, gain: 1 },
  collects: false,
  sourceSide: "site",
};
