/** Rotated space: distributed alignment search (Geiger et al. 2023), some dimensions of a trained basis are exchanged. */
import type { OperatorKind } from "./kind.ts";
import { orthonormal } from "./matrices.ts";
import { rotatedExchange, rotatedExchangeReference } from "./rotation.ts";

/** pyvene's RotatedSpaceIntervention. The rotation is [n, n]; dimension or subspaces choose columns. */
export const rotatedSpace: OperatorKind = {
  kind: "rotated-space",
  takesSource: true,
  takesInput: false,
  emit: (builder, x) => rotatedExchange(builder, x, x.select),
  reference: (x) => rotatedExchangeReference(x, (i) => x.select![i]!),
  initial: { rotation: orthonormal },
};
