/** Frames a part of a layer, so that what goes in and what comes out are components and module sides. */
import type { Value } from "../graph/ir.ts";
import type { Emitter } from "./emitter.ts";

export interface Frame {
  readonly layer: number;
  /** The module of just that extent; undefined where the PyTorch model has none. */
  readonly path: string | undefined;
  readonly width: number;
}

/** `part`'s input and output, both [r, width], become the components `<part>_input` and `<part>_output`. */
export function framed(
  e: Emitter,
  part: "block" | "attention" | "mlp" | "mixer",
  { layer, path, width }: Frame,
  x: Value,
  body: (input: Value) => Value,
): Value {
  const input = e.component(layer, `${part}_input`, x, width);
  if (path !== undefined) e.module(path, "input", input, width);
  const output = e.component(layer, `${part}_output`, body(input), width);
  if (path !== undefined) e.module(path, "output", output, width);
  return output;
}
