/** Activation functions that a learned source may have, as nodes and in plain JS. */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { Activation } from "../spec/kind-spec.ts";
import { sigmoid } from "./matrices.ts";

interface ActivationFunction {
  emit(builder: Builder, x: Value): Value;
  readonly reference: (x: number) => number;
}

const node = (op: string) => (builder: Builder, x: Value) => builder.op(op, "learned.activated", [x]);

export const activationTable = {
  linear: { emit: (_, x) => x, reference: (x) => x },
  relu: { emit: node("Relu"), reference: (x) => Math.max(0, x) },
  gelu: { emit: node("Gelu"), reference: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2 },
  silu: {
    emit: (builder, x) => builder.mul("learned.activated", x, builder.op("Sigmoid", "learned.gate", [x])),
    reference: (x) => x * sigmoid(x),
  },
  tanh: { emit: node("Tanh"), reference: Math.tanh },
  sigmoid: { emit: node("Sigmoid"), reference: sigmoid },
} as const satisfies { readonly [A in Activation]: ActivationFunction };

/** The error function by its series, exact to double precision for the sizes activations have. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
