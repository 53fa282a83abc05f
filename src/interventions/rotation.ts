/** Exchange in a rotated basis, shared by the kinds that differ only in what they exchange there. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { OperatorNumbers, OperatorValues } from "./kind.ts";
import { minus, plus, times, timesTransposed } from "./matrices.ts";

/**
 * base + ((source - base) W x mask) W'. pyvene rotates, exchanges and rotates back; with orthonormal columns that is the same,
 * and this way what is not exchanged stays exactly as it is.
 */
export function rotatedExchange(builder: Builder, x: OperatorValues, mask: Value | undefined): Value {
  const rotation = x.tensors["rotation"]!;
  const difference = builder.matmul("rotated.difference", builder.sub("difference", x.source!, x.base), rotation);
  const exchanged = mask === undefined ? difference : builder.mul("rotated.exchanged", difference, mask);
  return builder.add("exchanged", x.base, builder.linear("rotated.back", exchanged, rotation));
}

export function rotatedExchangeReference(x: OperatorNumbers, mask: (i: number) => number): Float64Array {
  const rotation = x.tensors["rotation"]!;
  const difference = times(minus(x.source!, x.base), rotation);
  return plus(
    x.base,
    timesTransposed(
      difference.map((value, i) => value * mask(i)),
      rotation,
    ),
  );
}
