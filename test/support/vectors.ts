/** Random vectors that are the same in every run. */
import { seededRandom } from "../../src/base/rng.ts";

export function randomVector(width: number, seed: number, scale = 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: width }, () => scale * random.normal());
}
