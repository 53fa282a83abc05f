/** NoReFT: LoReFT with a projection that need not be orthogonal. */
import type { OperatorKind } from "./kind.ts";
import { learnedSource, learnedSourceReference } from "./learned-source.ts";
import { filled, minus, plus, times, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** pyreft's NoreftIntervention. */
export const noreft: OperatorKind = {
  kind: "noreft",
  takesSource: false,
  takesInput: false,
  emit: (builder, x) => {
    const projection = x.tensors["projection"]!;
    const now = builder.linear("projected", x.base, projection, x.tensors["projectionBias"]);
    const change = builder.sub("change", learnedSource(builder, x), now);
    return builder.add("edited", x.base, builder.matmul("written", change, projection));
  },
  reference: (x) => {
    const projection = x.tensors["projection"]!;
    const offset = x.tensors["projectionBias"]?.values ?? new Float64Array(projection.rows);
    const change = minus(learnedSourceReference(x), plus(timesTransposed(x.base, projection), offset));
    return plus(x.base, times(change, projection));
  },
  initial: { projection: uniformByFanIn, weight: uniformByFanIn, bias: filled(0) },
};
