/** DiReFT: a learned value is added in a learned subspace. */
import type { OperatorKind } from "./kind.ts";
import { learnedSource, learnedSourceReference } from "./learned-source.ts";
import { filled, orthonormal, plus, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** pyreft's DireftIntervention. */
export const direft: OperatorKind = {
  kind: "direft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    return builder.add("edited", x.base, builder.linear("written", learnedSource(builder, x), x.tensors["rotation"]!));
  },
  reference: (x) => {
    return plus(x.base, timesTransposed(learnedSourceReference(x), x.tensors["rotation"]!));
  },
  initial: { rotation: orthonormal, weight: uniformByFanIn, bias: filled(0) },
};
