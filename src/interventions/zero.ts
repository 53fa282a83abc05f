/** Zero: an ablation, the value is set to zero. */
import type { AffineKind } from "./kind.ts";

/** pyvene's ZeroIntervention: b = 0. Strength below 1 shrinks: (1 - strength) b. */
export const zero: AffineKind = { kind: "zero", affine: { keep: 0, gain: 0 }, collects: false, sourceSide: "site" };
