/** Exchange of chosen features in another representation, shared by the autoencoders and PCA. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { OperatorNumbers, OperatorValues } from "./kind.ts";

/** The base's features with those selected taken from the source's: latents, or components. */
export function exchangedFeatures(
  builder: Builder,
  x: OperatorValues,
  encoded: (builder: Builder, x: OperatorValues, value: Value) => Value,
): Value {
  const [base, source] = [encoded(builder, x, x.base), encoded(builder, x, x.source!)];
  const chosen = builder.mul("features.chosen", builder.sub("features.difference", source, base), x.select!);
  return builder.add("features.mixed", base, chosen);
}

export function exchangedFeaturesReference(
  x: OperatorNumbers,
  encoded: (values: Float64Array) => Float64Array,
): Float64Array {
  const source = encoded(x.source!);
  return encoded(x.base).map((value, i) => value + x.select![i]! * (source[i]! - value));
}
