/** LoReFT: a learned value is written into a learned subspace (Wu et al. 2024). */
import type { OperatorKind } from "./kind.ts";
import { learnedSource, learnedSourceReference } from "./learned-source.ts";
import { filled, minus, orthonormal, plus, times, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** pyreft's LoreftIntervention. */
export const loreft: OperatorKind = {
  kind: "loreft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    const rotation = x.tensors["rotation"]!;
    const now = builder.matmul("rotated", x.base, rotation);
    const change = builder.sub("change", learnedSource(builder, x), now);
    return builder.add("edited", x.base, builder.linear("written", change, rotation));
  },
  reference: (x) => {
    const rotation = x.tensors["rotation"]!;
    const change = minus(learnedSourceReference(x), times(x.base, rotation));
    return plus(x.base, timesTransposed(change, rotation));
  },
  initial: { rotation: orthonormal, weight: uniformByFanIn, bias: filled(0) },
};
