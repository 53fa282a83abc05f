/** LobiReFT: a learned bias is added in a learned subspace. */
import type { OperatorKind } from "./kind.ts";
import { filled, orthonormal, plus, timesTransposed } from "./matrices.ts";

/** pyreft's LobireftIntervention. */
export const lobireft: OperatorKind = {
  kind: "lobireft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    const change = builder.op("Unsqueeze", "bias.row", [x.tensors["bias"]!, builder.int64([0])]);
    return builder.add("edited", x.base, builder.linear("written", change, x.tensors["rotation"]!));
  },
  reference: (x) => {
    return plus(x.base, timesTransposed(x.tensors["bias"]!.values, x.tensors["rotation"]!));
  },
  initial: { rotation: orthonormal, bias: filled(0) },
};
