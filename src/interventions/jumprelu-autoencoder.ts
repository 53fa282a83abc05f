/** JumpReLU autoencoder: latents of a sparse autoencoder with thresholds (Rajamanoharan et al. 2024) are exchanged. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import { exchangedFeatures, exchangedFeaturesReference } from "./exchanged-features.ts";
import type { OperatorKind, OperatorValues } from "./kind.ts";
import { filled, plus, times } from "./matrices.ts";

/** pyvene's JumpReLUAutoencoderIntervention. */
export const jumpReluAutoencoder: OperatorKind = {
  kind: "jumprelu-autoencoder",
  takesSource: true,
  takesInput: false,
  emit(builder, x) {
    const mixed = exchangedFeatures(builder, x, encode);
    return builder.linear("decoded", mixed, x.tensors["decoder"]!, x.tensors["decoderBias"]!, true);
  },
  reference(x) {
    const mixed = exchangedFeaturesReference(x, (values) => {
      const raw = plus(times(values, x.tensors["encoder"]!), x.tensors["encoderBias"]!.values);
      return raw.map((value, i) => (value > x.tensors["threshold"]!.values[i]! ? Math.max(0, value) : 0));
    });
    return plus(times(mixed, x.tensors["decoder"]!), x.tensors["decoderBias"]!.values);
  },
  initial: {
    encoder: filled(0),
    encoderBias: filled(0),
    decoder: filled(0),
    decoderBias: filled(0),
    threshold: filled(0),
  },
};

/** p = x We + be; relu(p) where p is above the threshold */
function encode(builder: Builder, { tensors }: OperatorValues, x: Value): Value {
  const raw = builder.linear("latents.raw", x, tensors["encoder"]!, tensors["encoderBias"]!, true);
  const active = builder.op("Greater", "latents.active", [raw, tensors["threshold"]!], {}, "bool");
  const positive = builder.op("Relu", "latents.positive", [raw]);
  return builder.op("Where", "latents", [active, positive, builder.scalar(0)]);
}
