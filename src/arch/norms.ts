/** The normalisations of decoder blocks, each over the last axis of its input. */
import { Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/ir.ts";
import type { Emitter } from "./emitter.ts";

/** Normalises the last axis of x, which is `width` wide, as the module at `path` does; the result is called `name`. */
export type Norm = (e: Emitter, name: string, path: string, x: Value, width: number) => Value;

export function rmsNorm(epsilon: number): Norm {
  return (e, name, path, x, width) => e.rmsNorm(name, x, e.weight(e.stored(`${path}.weight`), [width]), epsilon);
}

/** Gemma's RMSNorm, whose weights are stored less one. */
export function shiftedRmsNorm(epsilon: number): Norm {
  return (e, name, path, x, width) => {
    const stored = e.weight(e.stored(`${path}.weight`), [width]);
    return e.rmsNorm(name, x, e.add(`${path}.shifted`, stored, e.scalar(1)), epsilon);
  };
}

/** A LayerNorm without weights (OLMo). */
export function bareLayerNorm(epsilon: number): Norm {
  return (e, name, _path, x, width) => {
    const key = `norm.ones.${width}`;
    const ones =
      e.graph.find(key) ?? e.graph.addConstant(key, Tensor.float32([width], new Float32Array(width).fill(1)));
    return e.layerNorm(name, x, ones, undefined, epsilon);
  };
}

/** The norm at a module, its output [r, width] a place. */
export function normAt(e: Emitter, norm: Norm, path: string, x: Value, width: number): Value {
  const output = norm(e, `${path}.output`, path, x, width);
  e.module(path, "output", output, width);
  return output;
}
