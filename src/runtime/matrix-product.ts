/** Products of large matrices by onnxruntime, for the rooms below that compute weights and must not know it. */
import type { Multiply } from "../artefact/matrix.ts";
import { Builder } from "../graph/builder.ts";
import { Graph } from "../graph/ir.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { Session } from "./ort.ts";

/**
 * Does `work` with an engine that multiplies float32 matrices on all cores. Its session is made at the first product and
 * released at the end. Throws what `work` throws, and `runtime-failed`.
 */
export async function withMatrixProduct<T>(work: (multiply: Multiply) => Promise<T>): Promise<T> {
  let session: Promise<Session> | undefined;
  const multiply: Multiply = async (a, b, { rows, inner, columns }) => {
    session ??= Session.create(matMulGraph(), { weightsFolder: "." });
    const { product } = await (await session).run(
      {
        a: { dtype: "float32", data: a, shape: [rows, inner] },
        b: { dtype: "float32", data: b, shape: [inner, columns] },
      },
      ["product"],
    );
    return product!.data;
  };
  try {
    return await work(multiply);
  } finally {
    await (await session)?.release();
  }
}

function matMulGraph(): Uint8Array {
  const graph = new Graph("product");
  const a = graph.addInput("a", "float32", ["rows", "inner"]);
  const b = graph.addInput("b", "float32", ["inner", "columns"]);
  graph.addOutput(new Builder(graph).matmul("product", a, b));
  return serialiseGraph(graph, () => ({ location: "", offset: 0, length: 0 }));
}
