/** Low-rank rotated space: the part of the activation in a trained subspace is exchanged. */
import type { OperatorKind } from "./kind.ts";
import { orthonormal } from "./matrices.ts";
import { rotatedExchange, rotatedExchangeReference } from "./rotation.ts";

/** pyvene's LowRankRotatedSpaceIntervention. The rotation is [n, r]; subspaces choose columns, all without. */
export const lowRankRotatedSpace: OperatorKind = {
  kind: "low-rank-rotated-space",
  takesSource: true,
  takesInput: false,
  emit: (builder, x) => rotatedExchange(builder, x, x.select),
  reference: (x) => rotatedExchangeReference(x, (i) => x.select![i]!),
  initial: { rotation: orthonormal },
};
