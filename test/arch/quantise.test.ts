/** Quantised rows: bit for bit what a plain reference makes of them, and what MatMulNBits reads in them. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Bits, quantiseRows } from "../../src/arch/quantise.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { Graph } from "../../src/graph/ir.ts";
import { serialiseGraph } from "../../src/graph/serialise.ts";
import { Session } from "../../src/runtime/ort.ts";
import { numbers, quantisedReference as reference } from "../support/quantised.ts";

const matrices = fc
  .record({ rows: fc.integer({ min: 1, max: 5 }), columns: fc.integer({ min: 1, max: 100 }) })
  .chain(({ rows, columns }) => {
    const value = fc.oneof(
      fc.float({ noNaN: true, min: -4, max: 4 }),
      fc.constantFrom(0, -0, 1, -1, 0.5, Math.fround(1e-45), Math.fround(3e38), Math.fround(-3e38)),
    );
    const row = fc.array(value, { minLength: columns, maxLength: columns });
    return fc.array(row, { minLength: rows, maxLength: rows });
  });

const flatOf = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flat());

describe.each<Bits>([4, 8])("%i bits", (bits) => {
  test("codes, packing and scales are the reference's, whatever the numbers", () => {
    fc.assert(
      fc.property(matrices, (rows) => {
        const { codes, scales } = quantiseRows(flatOf(rows), rows[0]!.length, bits);
        const expected = reference(rows, bits);
        expect([...codes]).toEqual(expected.bytes);
        expect(Buffer.from(scales.buffer)).toEqual(Buffer.from(Float32Array.from(expected.scales).buffer));
      }),
      { numRuns: 300 },
    );
  });

  test("no weight is off by more than its block's scale", () => {
    fc.assert(
      fc.property(matrices, (rows) => {
        const { weights, scales } = reference(rows, bits);
        const blocks = Math.ceil(rows[0]!.length / 32);
        rows.forEach((row, r) => {
          row.forEach((value, column) => {
            const scale = Math.abs(scales[r * blocks + Math.floor(column / 32)]!);
            expect(Math.abs(value - weights[r]![column]!)).toBeLessThanOrEqual(scale * 1.0001 + 1e-42);
          });
        });
      }),
    );
  });
});

test("a block by hand: the first of two codes in a byte is the lower one, 8 stands for zero", () => {
  const values = new Float32Array(32);
  values.set([-8, 7, 1, 0, 3.5]);
  const { codes, scales } = quantiseRows(values, 32, 4);
  expect([...scales]).toEqual([1]);
  expect([...codes].slice(0, 3)).toEqual([0x0 | (15 << 4), 9 | (8 << 4), 12 | (8 << 4)]);
  expect([...codes].slice(3)).toEqual(new Array(13).fill(0x88));
});

async function matMulNBits(x: Float32Array, rows: number[][], bits: Bits, accuracy: number): Promise<Float32Array> {
  const [K, N] = [rows[0]!.length, rows.length];
  const blocks = Math.ceil(K / 32);
  const { codes, scales } = quantiseRows(flatOf(rows), K, bits);
  const graph = new Graph("product");
  const input = graph.addInput("x", "float32", ["rows", K]);
  const weight = graph.addConstant("codes", new Tensor("uint8", [N, blocks, 4 * bits], codes));
  const scale = graph.addConstant("scales", Tensor.float32([N, blocks], scales));
  const attributes = { K, N, bits, block_size: 32, accuracy_level: accuracy };
  graph.addOutput(
    graph.addNode("MatMulNBits", [input, weight, scale], [{ name: "y" }], attributes, "com.microsoft").outputs[0]!,
  );
  const bytes = serialiseGraph(graph, () => {
    throw new Error("there are no references");
  });
  const session = await Session.create(bytes, { weightsFolder: ".", threads: 1 });
  const results = await session.run({ x: { dtype: "float32", data: x, shape: [x.length / K, K] } }, ["y"]);
  await session.release();
  return results["y"]!.data;
}

describe.each<Bits>([4, 8])("MatMulNBits with %i bits", (bits) => {
  test.each([32, 96, 50, 7])("over %i columns multiplies by the dequantised weights", async (columns) => {
    const flat = numbers(9 * columns, columns);
    const rows = Array.from({ length: 9 }, (_, row) => [...flat.subarray(row * columns, (row + 1) * columns)]);
    const x = numbers(3 * columns, 7);
    const { weights } = reference(rows, bits);
    const expected = [0, 1, 2].flatMap((row) =>
      weights.map((weight) => weight.reduce((sum, value, i) => sum + value * x[row * columns + i]!, 0)),
    );
    const size = Math.max(...expected.map(Math.abs));
    const off = (found: Float32Array) => Math.max(...expected.map((value, i) => Math.abs(value - found[i]!))) / size;
    expect(off(await matMulNBits(x, rows, bits, 0))).toBeLessThan(1e-5);
    // Activations rounded to 8 bits: close, and not the same path.
    const rounded = off(await matMulNBits(x, rows, bits, 4));
    expect(rounded).toBeLessThan(0.03);
  });
});
