/** Noise: fixed random numbers are added, to blur what the base says there. */
import { numpyNormals } from "../base/numpy-random.ts";
import { Tensor } from "../base/tensor.ts";
import type { AffineKind } from "./kind.ts";

/** pyvene's NoiseIntervention: b += noise x level. Strength scales the noise. */
export const noise: AffineKind = {
  kind: "noise",
  affine: { keep: 1, gain: 1 },
  collects: false,
  sourceSide: "site",
};

/** pyvene's seed and the number of positions that its noise spans. */
const SEED = 1;
const POSITIONS = 4;

/** The noise that pyvene makes for a width: numpy's RandomState(1).randn(1, 4, width), as float32 [1, 4, width]. */
export function pyveneNoise(width: number): Tensor {
  return Tensor.float32([1, POSITIONS, width], Float32Array.from(numpyNormals(SEED, POSITIONS * width)));
}
