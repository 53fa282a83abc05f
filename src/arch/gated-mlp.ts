/** The gated MLP: down(act(gate(x)) x up(x)). */
import type { Value } from "../graph/ir.ts";
import type { Activation } from "./activations.ts";
import type { Emitter } from "./emitter.ts";

/** Where an MLP is, and how wide its input and output are. */
export interface MlpPlace {
  readonly layer: number;
  readonly path: string;
  readonly width: number;
}

/** Writes an MLP: rows [r, width] to rows [r, width]. */
export type Mlp = (e: Emitter, place: MlpPlace, x: Value) => Value;

export interface GatedMlpOptions {
  readonly inner: number;
  readonly activation: Activation;
  readonly bias?: boolean;
}

/** The MLP with a projection each for gate, up and down. */
export function gatedMlp({ inner, activation, bias = false }: GatedMlpOptions): Mlp {
  return (e, { layer, path, width }, x) => {
    const gate = e.dense(`${path}.gate_proj`, x, width, inner, { bias });
    const act = activated(e, layer, `${path}.act_fn`, gate, { inner, activation });
    const up = e.dense(`${path}.up_proj`, x, width, inner, { bias });
    return e.dense(`${path}.down_proj`, e.mul(`${path}.product`, act, up), inner, width, { bias });
  };
}

/** act(gate), as the component mlp_activation and as the output of the activation's module. */
export function activated(
  e: Emitter,
  layer: number,
  path: string,
  gate: Value,
  { inner, activation }: GatedMlpOptions,
): Value {
  const act = e.component(layer, "mlp_activation", activation(e, `${path}.output`, gate), inner);
  e.module(path, "output", act, inner);
  return act;
}
