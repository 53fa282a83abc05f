/** Collect: reads the value and leaves it alone. */
import type { KindImplementation } from "./kind.ts";

/** pyvene's CollectIntervention: returns b. */
export const collect: KindImplementation = { kind: "collect", affine: { keep: 1, gain: 0 }, collects: true };
