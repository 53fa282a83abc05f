/** Autoencoder: latents of a one-layer ReLU autoencoder are exchanged. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { OperatorKind, OperatorNumbers, OperatorValues } from "./kind.ts";
import { filled, minus, plus, timesTransposed, uniformByFanIn } from "./matrices.ts";

/** pyvene's AutoencoderIntervention. */
export const autoencoder: OperatorKind = {
  kind: "autoencoder",
  takesSource: true,
  takesInput: false,
  emit(builder, x) {
    const mixed = exchangedLatents(builder, x, encode);
    return builder.linear("decoded", mixed, x.tensors["decoder"]!, x.tensors["decoderBias"]!);
  },
  reference(x) {
    const mixed = exchangedLatentsReference(x, (values) => {
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

/** z(base) with the selected latents of z(source). */
export function exchangedLatents(
  builder: Builder,
  x: OperatorValues,
  encoded: (builder: Builder, x: OperatorValues, value: Value) => Value,
): Value {
  const [base, source] = [encoded(builder, x, x.base), encoded(builder, x, x.source!)];
  const chosen = builder.mul("latents.chosen", builder.sub("latents.difference", source, base), x.select!);
  return builder.add("latents.mixed", base, chosen);
}

export function exchangedLatentsReference(
  x: OperatorNumbers,
  encoded: (values: Float64Array) => Float64Array,
): Float64Array {
  const source = encoded(x.source!);
  return encoded(x.base).map((value, i) => value + x.select![i]! * (source[i]! - value));
}
