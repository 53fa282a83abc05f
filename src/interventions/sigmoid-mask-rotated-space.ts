/** Sigmoid mask in a rotated space: each dimension of a trained basis is exchanged to a trained degree. */
import type { OperatorKind } from "./kind.ts";
import { filled, orthonormal, sigmoid } from "./matrices.ts";
import { rotatedExchange, rotatedExchangeReference } from "./rotation.ts";
import { maskOf } from "./sigmoid-mask.ts";

/** pyvene's SigmoidMaskRotatedSpaceIntervention. */
export const sigmoidMaskRotatedSpace: OperatorKind = {
  kind: "sigmoid-mask-rotated-space",
  takesSource: true,
  takesInput: false,
  emit: (builder, x) => rotatedExchange(builder, x, maskOf(builder, x, "masks")),
  reference: (x) => {
    const { temperature } = x.parameters as { temperature: number };
    return rotatedExchangeReference(x, (i) => sigmoid(x.tensors["masks"]!.values[i]! / temperature));
  },
  initial: { rotation: orthonormal, masks: filled(100) },
};
