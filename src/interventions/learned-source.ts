/** act(W h + b): what the ReFT kinds write, learned rather than taken from a source. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { Activation } from "../spec/kind-spec.ts";
import { activationTable } from "./activation.ts";
import type { OperatorNumbers, OperatorValues } from "./kind.ts";
import { plus, timesTransposed } from "./matrices.ts";

/** [k, r] */
export function learnedSource(builder: Builder, x: OperatorValues): Value {
  const { activation } = x.parameters as { activation: Activation };
  const learned = builder.linear("learned", x.base, x.tensors["weight"]!, x.tensors["bias"]!);
  return activationTable[activation].emit(builder, learned);
}

export function learnedSourceReference(x: OperatorNumbers): Float64Array {
  const { activation } = x.parameters as { activation: Activation };
  const learned = plus(timesTransposed(x.base, x.tensors["weight"]!), x.tensors["bias"]!.values);
  return learned.map(activationTable[activation].reference);
}
