/** Skip: the module's output is replaced by its input in the source's run, as if the module were not there. */
import type { AffineKind } from "./kind.ts";

/** pyvene's SkipIntervention: b = the source's module input. Strength below 1 mixes. */
export const skip: AffineKind = {
  kind: "skip",
  affine: { keep: 0, gain: 1 },
  collects: false,
  sourceSide: "input",
};
