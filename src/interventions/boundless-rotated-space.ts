/** Boundless rotated space: boundless DAS (Wu et al. 2023), a trained boundary says how many dimensions are exchanged. */
import { Tensor } from "../base/tensor.ts";
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { OperatorKind, OperatorValues } from "./kind.ts";
import { filled, orthonormal, sigmoid } from "./matrices.ts";
import { rotatedExchange, rotatedExchangeReference } from "./rotation.ts";

/** Bounds of the boundary, as in pyvene. */
const LEAST = 1e-3;
const MOST = 1;

/** pyvene's BoundlessRotatedSpaceIntervention. */
export const boundlessRotatedSpace: OperatorKind = {
  kind: "boundless-rotated-space",
  takesSource: true,
  takesInput: false,
  emit: (builder, x) => rotatedExchange(builder, x, boundaryMask(builder, x)),
  reference: (x) => {
    const { temperature } = x.parameters as { temperature: number };
    const boundary = Math.min(MOST, Math.max(LEAST, x.tensors["boundary"]!.values[0]!)) * x.base.length;
    return rotatedExchangeReference(x, (i) => sigmoid(i / temperature) * sigmoid((boundary - i) / temperature));
  },
  initial: { rotation: orthonormal, boundary: filled(0.5) },
};

/** sigmoid(i / T) x sigmoid((boundary x n - i) / T), [1, n]. */
function boundaryMask(builder: Builder, x: OperatorValues): Value {
  const { temperature } = x.parameters as { temperature: number };
  const size = x.tensors["rotation"]!.shape![0] as number;
  const scale = builder.scalar(1 / temperature);
  const numbers = Tensor.float32(
    [1, size],
    Float32Array.from({ length: size }, (_, i) => i),
  );
  const population = builder.constant("population", numbers);
  const clipped = builder.op("Clip", "boundary.clipped", [
    x.tensors["boundary"]!,
    builder.scalar(LEAST),
    builder.scalar(MOST),
  ]);
  const end = builder.mul("boundary.end", clipped, builder.scalar(size));
  const left = builder.op("Sigmoid", "mask.left", [builder.mul("mask.start", population, scale)]);
  const distance = builder.mul("mask.scaled", builder.sub("mask.distance", end, population), scale);
  return builder.mul("mask", left, builder.op("Sigmoid", "mask.right", [distance]));
}
