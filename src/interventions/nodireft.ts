/** NodiReFT: DiReFT with a projection that need not be orthogonal. */
import type { OperatorKind } from "./kind.ts";
import { learnedSource, learnedSourceReference } from "./learned-source.ts";
import { filled, plus, times, uniformByFanIn } from "./matrices.ts";

/** pyreft's NodireftIntervention. */
export const nodireft: OperatorKind = {
  kind: "nodireft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    return builder.add(
      "edited",
      x.base,
      builder.matmul("written", learnedSource(builder, x), x.tensors["projection"]!),
    );
  },
  reference: (x) => {
    return plus(x.base, times(learnedSourceReference(x), x.tensors["projection"]!));
  },
  initial: { projection: uniformByFanIn, weight: uniformByFanIn, bias: filled(0) },
};
