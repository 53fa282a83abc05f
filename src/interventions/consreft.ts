/** ConsReFT: a learned constant is written into a learned subspace. */
import type { OperatorKind } from "./kind.ts";
import { filled, minus, orthonormal, plus, times, timesTransposed } from "./matrices.ts";

/** pyreft's ConsreftIntervention. */
export const consreft: OperatorKind = {
  kind: "consreft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    const rotation = x.tensors["rotation"]!;
    const change = builder.sub("change", x.tensors["bias"]!, builder.matmul("rotated", x.base, rotation));
    return builder.add("edited", x.base, builder.linear("written", change, rotation));
  },
  reference: (x) => {
    const rotation = x.tensors["rotation"]!;
    const change = minus(x.tensors["bias"]!.values, times(x.base, rotation));
    return plus(x.base, timesTransposed(change, rotation));
  },
  initial: { rotation: orthonormal, bias: filled(0) },
};
