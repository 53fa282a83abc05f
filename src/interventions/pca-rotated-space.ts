/** PCA rotated space: principal components are exchanged; what they do not span is lost, as in pyvene. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import { exchangedFeatures, exchangedFeaturesReference } from "./exchanged-features.ts";
import type { OperatorKind, OperatorValues } from "./kind.ts";
import { times, timesTransposed } from "./matrices.ts";

/** pyvene's PCARotatedSpaceIntervention. */
export const pcaRotatedSpace: OperatorKind = {
  kind: "pca-rotated-space",
  takesSource: true,
  takesInput: false,
  emit(builder, x) {
    const mixed = exchangedFeatures(builder, x, project);
    const back = builder.matmul("pca.back", mixed, x.tensors["components"]!);
    return builder.add("pca.output", builder.mul("pca.unscaled", back, x.tensors["std"]!), x.tensors["mean"]!);
  },
  reference(x) {
    const components = x.tensors["components"]!;
    const mean = x.tensors["mean"]!.values;
    const std = x.tensors["std"]!.values;
    const mixed = exchangedFeaturesReference(x, (one) =>
      timesTransposed(
        one.map((value, i) => (value - mean[i]!) / std[i]!),
        components,
      ),
    );
    return times(mixed, components).map((value, i) => value * std[i]! + mean[i]!);
  },
  initial: {},
};

/** ((x - mean) / std) C' */
function project(builder: Builder, { tensors }: OperatorValues, x: Value): Value {
  const centred = builder.sub("pca.centred", x, tensors["mean"]!);
  return builder.linear(
    "pca.projected",
    builder.op("Div", "pca.scaled", [centred, tensors["std"]!]),
    tensors["components"]!,
  );
}
