/** Activation functions by the names configs use (transformers' ACT2FN). */
import type { Value } from "../graph/ir.ts";
import type { ConfigReader } from "./config.ts";
import type { Emitter } from "./emitter.ts";

/** Writes an activation function of `x` as the value `name`. */
export type Activation = (e: Emitter, name: string, x: Value) => Value;

const silu: Activation = (e, name, x) => e.mul(name, x, e.op("Sigmoid", `${name}.sigmoid`, [x]));
const gelu: Activation = (e, name, x) => e.op("Gelu", name, [x]);
const geluTanh: Activation = (e, name, x) => e.op("Gelu", name, [x], { approximate: "tanh" });
const relu: Activation = (e, name, x) => e.op("Relu", name, [x]);

const activations: Readonly<Record<string, Activation>> = {
  silu,
  swish: silu,
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
};

/** The activation that config field `key` names. Throws `config-unsupported` for others. */
export function activationOf(config: ConfigReader, key: string, fallback: string): Activation {
  const emit = Object.hasOwn(activations, config.string(key, fallback))
    ? activations[config.string(key, fallback)]
    : undefined;
  if (emit === undefined) throw config.unsupported(key, Object.keys(activations).join(", "));
  return emit;
}
