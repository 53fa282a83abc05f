/** What every family's compiler writes with: ops, checkpoint weights, and the table of places that grows on the way. */
import { Builder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/ir.ts";
import type { Component } from "../spec/sites.ts";
import type { CompileOptions } from "./family.ts";
import { quantisedLinear } from "./quantised-linear.ts";
import { type Place, SiteTable } from "./sites.ts";
import type { WeightIndex } from "./weights.ts";

type Heads = NonNullable<Place["heads"]>;

interface DenseOptions {
  readonly bias: boolean;
  readonly inFirst?: boolean;
  /** Float32 whatever the options: for small layers on whose numbers much depends, such as routers. */
  readonly exact?: boolean;
}

export class Emitter extends Builder {
  readonly sites: SiteTable;
  readonly weights: WeightIndex;
  readonly options: CompileOptions;
  /** A module's name in the checkpoint, given its path in the PyTorch model. */
  readonly stored: (path: string) => string;
  readonly #loaded = new Map<string, Value>();

  constructor(
    graph: Graph,
    weights: WeightIndex,
    layers: number,
    options: CompileOptions,
    stored: (path: string) => string = (path) => path,
  ) {
    super(graph);
    this.weights = weights;
    this.options = options;
    this.stored = stored;
    this.sites = new SiteTable(layers);
  }

  /** A checkpoint tensor of exactly that shape, as a float32 constant. */
  weight(name: string, shape: readonly number[]): Value {
    const known = this.#loaded.get(name);
    if (known !== undefined) return known;
    this.weights.require(name, shape);
    const value = this.graph.addWeight(name, shape);
    this.#loaded.set(name, value);
    return value;
  }

  /** Gives `value` a name of its own for a component, so that edits there do not reach its aliases upstream. */
  component(layer: number, component: Component, value: Value, width: number, heads?: Heads): Value {
    const named = this.identity(`layers.${layer}.${component}`, value);
    this.alias(layer, component, named, width, heads);
    return named;
  }

  /** Registers a value that already has its own name as a component, too. */
  alias(layer: number, component: Component, value: Value, width: number, heads?: Heads): void {
    this.sites.addComponent(layer, component, { value: value.name, width, ...(heads === undefined ? {} : { heads }) });
  }

  module(path: string, side: "input" | "output", value: Value, width: number): void {
    this.sites.addModule(path, side, { value: value.name, width });
  }

  /** As the builder's, over a checkpoint's weight; quantised if the options say so. */
  override linear(name: string, x: Value, weight: Value, bias?: Value, inFirst = false): Value {
    const { bits } = this.options;
    if (bits === undefined) return this.exactLinear(name, x, weight, bias, inFirst);
    return quantisedLinear(this, name, x, weight, { bits: bits.layers, bias, inFirst });
  }

  /** The Linear layer that ends in logits. */
  head(name: string, x: Value, weight: Value, bias: Value | undefined): Value {
    const { bits } = this.options;
    if (bits === undefined) return this.exactLinear(name, x, weight, bias);
    return quantisedLinear(this, name, x, weight, { bits: bits.head, bias, inFirst: false });
  }

  /** Float32 whatever the options. */
  exactLinear(name: string, x: Value, weight: Value, bias?: Value, inFirst = false): Value {
    return super.linear(name, x, weight, bias, inFirst);
  }

  /** A Linear (or GPT-2 Conv1D, `inFirst`) layer at a module path, with its input and output as places. */
  dense(path: string, x: Value, from: number, to: number, options: DenseOptions): Value {
    const { inFirst = false, exact = false } = options;
    const stored = this.stored(path);
    const input = this.identity(`${path}.input`, x);
    const weight = this.weight(`${stored}.weight`, inFirst ? [from, to] : [to, from]);
    const bias = options.bias ? this.weight(`${stored}.bias`, [to]) : undefined;
    const output = exact
      ? this.exactLinear(`${path}.output`, input, weight, bias, inFirst)
      : this.linear(`${path}.output`, input, weight, bias, inFirst);
    this.module(path, "input", input, from);
    this.module(path, "output", output, to);
    return output;
  }

  /** An RMSNorm at a module path. */
  rms(path: string, x: Value, width: number, epsilon: number): Value {
    const weight = this.weight(`${this.stored(path)}.weight`, [width]);
    const output = this.rmsNorm(`${path}.output`, x, weight, epsilon);
    this.module(path, "output", output, width);
    return output;
  }

  /** A LayerNorm at a module path. */
  layerNormAt(path: string, x: Value, width: number, epsilon: number): Value {
    const stored = this.stored(path);
    const bias = this.weight(`${stored}.bias`, [width]);
    const output = this.layerNorm(`${path}.output`, x, this.weight(`${stored}.weight`, [width]), bias, epsilon);
    this.module(path, "output", output, width);
    return output;
  }
}
