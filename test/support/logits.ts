/** Logits of token ids on a model, for comparing. */
import { allRows, forwardPass } from "../../src/runtime/forward.ts";
import { type LoadModelOptions, loadModel, type Model } from "../../src/runtime/model.ts";
import { leftPadded } from "../../src/runtime/prompt-batch.ts";

/** [positions x vocabulary] of one row. */
export async function logitsOf(model: Model, ids: readonly number[]): Promise<Float32Array> {
  const batch = leftPadded([ids], 0, model.shape.vocabularySize);
  return (await forwardPass(model, { batch, points: [], logitRows: allRows(batch) })).logits;
}

/** Loads, computes, releases. */
export async function logitsOfFolder(
  folder: string,
  ids: readonly number[],
  options?: LoadModelOptions,
): Promise<Float32Array> {
  const model = await loadModel(folder, options);
  try {
    return await logitsOf(model, ids);
  } finally {
    await model.release();
  }
}

export function flat(rows: readonly Float64Array[]): Float32Array {
  return Float32Array.from(rows.flatMap((row) => [...row]));
}
