/** Linear layers whose weights are a few bits each: onnxruntime's MatMulNBits over a quantised copy of the checkpoint. */
import type { Builder } from "../graph/builder.ts";
import { Value, type WeightReference } from "../graph/ir.ts";
import { type Bits, BLOCK, blockBytes, blocksOf } from "./quantise.ts";

/** Activations are rounded to int8 per block: several times as fast as floats, and the only way for 8 bits to be fast at all. */
const ACCURACY_INT8 = 4;

export interface QuantisedParts {
  readonly codes: { readonly name: string; readonly shape: readonly number[] };
  readonly scales: { readonly name: string; readonly shape: readonly number[] };
}

/** Names and shapes of what a weight of `rows` x `columns` is quantised to. */
export function quantisedParts(tensor: string, bits: Bits, rows: number, columns: number): QuantisedParts {
  const blocks = blocksOf(columns);
  return {
    codes: { name: `${tensor}.q${bits}`, shape: [rows, blocks, blockBytes(bits)] },
    scales: { name: `${tensor}.q${bits}.scales`, shape: [rows, blocks] },
  };
}

export interface QuantisedLinear {
  readonly bits: Bits;
  /** Float32, [out]. */
  readonly bias: Value | undefined;
  /** Whether the checkpoint has the weight as [in, out]. */
  readonly inFirst: boolean;
}

/** x [rows, in] times a weight of the checkpoint, plus bias. */
export function quantisedLinear(e: Builder, name: string, x: Value, weight: Value, options: QuantisedLinear): Value {
  const { bits, bias, inFirst } = options;
  const tensor = (weight.constant as WeightReference).weight;
  const [outer, inner] = weight.shape as readonly [number, number];
  const [rows, columns] = inFirst ? [inner, outer] : [outer, inner];
  const { codes, scales } = quantisedParts(tensor, bits, rows, columns);
  const quantised = { tensor, bits, inFirst };
  const part = ({ name: partName, shape }: QuantisedParts["codes"], dtype: "uint8" | "float32") =>
    e.graph.find(partName) ?? e.graph.addValue(new Value(partName, dtype, shape, { weight: partName, quantised }));
  const inputs = [x, part(codes, "uint8"), part(scales, "float32"), undefined, undefined, bias];
  const attributes = { K: columns, N: rows, bits, block_size: BLOCK, accuracy_level: ACCURACY_INT8 };
  return e.graph.addNode("MatMulNBits", inputs, [{ name: e.graph.freeName(name) }], attributes, "com.microsoft")
    .outputs[0]!;
}
