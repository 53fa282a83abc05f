/** Sigmoid mask: each feature is exchanged to a trained degree. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { OperatorKind, OperatorValues } from "./kind.ts";
import { filled, sigmoid } from "./matrices.ts";

/** pyvene's SigmoidMaskIntervention. */
export const sigmoidMask: OperatorKind = {
  kind: "sigmoid-mask",
  takesSource: true,
  takesInput: false,
  emit(builder, x) {
    const difference = builder.sub("difference", x.source!, x.base);
    return builder.add("masked", x.base, builder.mul("exchanged", difference, maskOf(builder, x, "mask")));
  },
  reference: (x) => {
    const { temperature } = x.parameters as { temperature: number };
    const mask = x.tensors["mask"]!.values.map((logit) => sigmoid(logit / temperature));
    return x.base.map((value, i) => value + mask[i]! * (x.source![i]! - value));
  },
  initial: { mask: filled(0) },
};

/** sigmoid(logits / temperature). */
export function maskOf(builder: Builder, x: OperatorValues, role: string): Value {
  const { temperature } = x.parameters as { temperature: number };
  const scaled = builder.mul("mask.scaled", x.tensors[role]!, builder.scalar(1 / temperature));
  return builder.op("Sigmoid", "mask", [scaled]);
}
