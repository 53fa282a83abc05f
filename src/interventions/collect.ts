/** Collect: reads the value and leaves it alone. */
import type { AffineKind } from "./kind.ts";

/** pyvene's CollectIntervention: returns b. */
export const collect: AffineKind = {
  kind: "collect",
  affine: { keep: 1, gain: 0 },
  collects: true,
  sourceSide: "site",
};
