/** Writes nodes tersely: one call per op of a standard opset, names derived from the place being written. */

import type { DType } from "../base/dtype.ts";
import { Tensor } from "../base/tensor.ts";
import { type Attributes, Float, type Graph, type Value } from "./ir.ts";

type Input = Value | undefined;

export class Builder {
  readonly graph: Graph;
  readonly #constants = new Map<string, Value>();
  readonly #stem: string;

  /** `stem` begins the names of the shared constants. */
  constructor(graph: Graph, stem = "const") {
    this.graph = graph;
    this.#stem = stem;
  }

  /** A node with one output called `name` (made unique when taken). */
  op(op: string, name: string, inputs: readonly Input[], attributes: Attributes = {}, dtype: DType = "float32"): Value {
    return this.ops(op, [name], inputs, attributes, dtype)[0]!;
  }

  /** A node with several outputs of one dtype. */
  ops(
    op: string,
    names: readonly string[],
    inputs: readonly Input[],
    attributes: Attributes = {},
    dtype: DType = "float32",
  ): readonly Value[] {
    const outputs: { name: string; dtype: DType }[] = [];
    const taken = new Set<string>();
    for (const name of names) {
      let free = this.graph.freeName(name);
      for (let i = 1; taken.has(free); i++) free = this.graph.freeName(`${name}.${i}`);
      outputs.push({ name: free, dtype });
      taken.add(free);
    }
    return this.graph.addNode(op, inputs, outputs, attributes).outputs;
  }

  /** An int64 constant, shared between equal calls. */
  int64(values: readonly number[], scalar = false): Value {
    const key = `i${scalar ? "" : "["}${values}`;
    return this.#constant(key, () => Tensor.int64(scalar ? [] : [values.length], values));
  }

  /** A float32 scalar constant, shared between equal calls. */
  scalar(value: number): Value {
    return this.#constant(`f${value}`, () => Tensor.float32([], [value]));
  }

  /** A constant of the caller's; the name is made unique when taken. */
  constant(name: string, tensor: Tensor): Value {
    return this.graph.addConstant(this.graph.freeName(name), tensor);
  }

  add(name: string, a: Value, b: Value): Value {
    return this.op("Add", name, [a, b]);
  }

  sub(name: string, a: Value, b: Value): Value {
    return this.op("Sub", name, [a, b]);
  }

  mul(name: string, a: Value, b: Value): Value {
    return this.op("Mul", name, [a, b]);
  }

  matmul(name: string, a: Value, b: Value): Value {
    return this.op("MatMul", name, [a, b]);
  }

  /** cap x tanh(x / cap): nearly x where small, never beyond the cap. */
  softCap(name: string, x: Value, cap: number): Value {
    const bounded = this.op("Tanh", `${name}.tanh`, [this.mul(`${name}.share`, x, this.scalar(1 / cap))]);
    return this.mul(name, bounded, this.scalar(cap));
  }

  /** Rows of `data` chosen by int64 `indices`, along axis 0. */
  gatherRows(name: string, data: Value, indices: Value): Value {
    return this.op("Gather", name, [data, indices], { axis: 0 });
  }

  reshape(name: string, data: Value, shape: Value | readonly number[]): Value {
    const target = "name" in shape ? shape : this.int64(shape);
    return this.op("Reshape", name, [data, target], {}, data.dtype);
  }

  identity(name: string, data: Value): Value {
    return this.op("Identity", name, [data], {}, data.dtype);
  }

  concat(name: string, parts: readonly Value[], axis: number): Value {
    return this.op("Concat", name, parts, { axis }, parts[0]!.dtype);
  }

  /** Pieces of the given widths along `axis`. One piece is an Identity, since Split needs two. */
  split(names: readonly string[], data: Value, widths: readonly number[], axis: number): readonly Value[] {
    if (names.length === 1) return [this.identity(names[0]!, data)];
    return this.ops("Split", names, [data, this.int64(widths)], { axis });
  }

  /** x [rows, in] times weight, plus bias. `weight` is [out, in] (torch Linear) unless `inFirst` (GPT-2's Conv1D). */
  linear(name: string, x: Value, weight: Value, bias?: Value, inFirst = false): Value {
    return this.op("Gemm", name, bias === undefined ? [x, weight] : [x, weight, bias], { transB: inFirst ? 0 : 1 });
  }

  rmsNorm(name: string, x: Value, weight: Value, epsilon: number): Value {
    return this.op("RMSNormalization", name, [x, weight], { axis: -1, epsilon: new Float(epsilon) });
  }

  layerNorm(name: string, x: Value, weight: Value, bias: Value | undefined, epsilon: number): Value {
    const inputs = bias === undefined ? [x, weight] : [x, weight, bias];
    return this.op("LayerNormalization", name, inputs, { axis: -1, epsilon: new Float(epsilon) });
  }

  #constant(key: string, make: () => Tensor): Value {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const value = this.graph.addConstant(this.graph.freeName(`${this.#stem}.${this.#constants.size}`), make());
    this.#constants.set(key, value);
    return value;
  }
}
