/** Autoencoder: latents of a one-layer ReLU autoencoder are exchanged. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import { exchangedFeatures, exchangedFeaturesReference } from "./exchanged-features.ts";
import type { OperatorKind, OperatorValues } from "./kind.ts";
import { filled, minus, plus, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** pyvene's AutoencoderIntervention. */
export const autoencoder: OperatorKind = {
  kind: "autoencoder",
  takesSource: true,
  takesInput: false,
  emit(builder, x) {
    const mixed = exchangedFeatures(builder, x, encode);
    return builder.linear("decoded", mixed, x.tensors["decoder"]!, x.tensors["decoderBias"]!);
  },
  reference(x) {
    const mixed = exchangedFeaturesReference(x, (values) => {
      const centred = minus(values, x.tensors["decoderBias"]!.values);
      const latents = timesTransposed(centred, x.tensors["encoder"]!);
      return plus(latents, x.tensors["encoderBias"]!.values).map((value) => Math.max(0, value));
    });
    return plus(timesTransposed(mixed, x.tensors["decoder"]!), x.tensors["decoderBias"]!.values);
  },
  initial: {
    encoder: uniformByFanIn,
    encoderBias: filled(0),
    decoder: uniformByFanIn,
    decoderBias: filled(0),
  },
};

/** relu(We (x - bd) + be) */
function encode(builder: Builder, { tensors }: OperatorValues, x: Value): Value {
  const centred = builder.sub("centred", x, tensors["decoderBias"]!);
  const latents = builder.linear("latents.raw", centred, tensors["encoder"]!, tensors["encoderBias"]!);
  return builder.op("Relu", "latents", [latents]);
}
