/** A compiled model against a reference.safetensors: how far its logits and components are off, in shares of their range. */
import { expect } from "@jest/globals";
import type { Tensor } from "../../src/base/tensor.ts";
import { allRows, forwardPass } from "../../src/runtime/forward.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import type { Model } from "../../src/runtime/model.ts";
import { rectangular } from "../../src/runtime/prompt-batch.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "./fixtures.ts";

/** Largest difference from the expected values as a share of their range; infinite where sizes differ. */
export function share(found: Float32Array, expected: Tensor): number {
  const values = expected.toFloat32();
  return largestDifference(found, values) / rangeOf(values);
}

/** Logits of all rows of a padded batch, padding included. */
export async function batchLogits(model: Model, ids: Tensor, mask?: Tensor): Promise<Float32Array> {
  const batch = rectangular(idsOf(ids), mask && idsOf(mask), model.shape.vocabularySize);
  return (await forwardPass(model, { batch, points: [], logitRows: allRows(batch) })).logits;
}

/** By component ("layers.2.block_output"), the share by which its values on `ids` are off. */
export async function componentShares(
  model: Model,
  reference: ReadonlyMap<string, Tensor>,
  without: readonly string[] = [],
): Promise<Map<string, number>> {
  const batch = rectangular(idsOf(reference.get("input_ids")!), undefined, model.shape.vocabularySize);
  const names = [...reference.keys()].filter(
    (name) => name.startsWith("layers.") && !without.some((component) => name.endsWith(`.${component}`)),
  );
  const points = names.map((name) => {
    const [, layer, component] = /^layers\.(\d+)\.(\w+)$/.exec(name)!;
    const place = model.sites.locate({ layer: Number(layer), component: component as "block_output", unit: "pos" });
    return { value: place.value, width: place.width, edit: "none", read: true } as const;
  });
  const reads = { points: points.map((_, i) => i), rows: allRows(batch) };
  const result = await forwardPass(model, { batch, points, reads, logitRows: [] });
  return new Map(names.map((name, i) => [name, share(result.reads.get(i)!, reference.get(name)!)]));
}

/** Expects an exported decoder to have its family's logits, components, greedy tokens and padded greedy tokens. */
export async function checkExport(
  model: Model,
  family: string,
  without: readonly string[],
  tolerance = 1e-4,
  folder = fixture("models", family),
): Promise<void> {
  const reference = await readTensors(`${folder}/reference.safetensors`);
  const ids = reference.get("input_ids")!;
  expect(share(await batchLogits(model, ids), reference.get("logits")!)).toBeLessThanOrEqual(tolerance);
  const shares = await componentShares(model, reference, without);
  expect(shares.size).toBeGreaterThan(20);
  for (const [name, off] of shares) expect([name, off <= tolerance ? 0 : off]).toEqual([name, 0]);
  const prompt = idsOf(ids)[0]!;
  const options = { maxNewTokens: 12, eosTokenIds: [] };
  const { tokens } = await model.generate(prompt, options);
  expect([...prompt, ...tokens]).toEqual(reference.get("greedy")!.toNumbers());
  const mask = idsOf(reference.get("padded.attention_mask")!);
  const rows = idsOf(reference.get("padded.input_ids")!).map((row, r) => row.filter((_, i) => mask[r]![i] === 1));
  const padded = await model.generate(rows, options);
  const width = mask[0]!.length;
  expect(padded.map((row) => row.tokens)).toEqual(
    idsOf(reference.get("padded.greedy")!).map((row) => row.slice(width)),
  );
}

/** Expects the same logits and tokens of both models with a vector added at a component of a middle layer. */
export async function steeredAlike(model: Model, own: Model, component: string): Promise<void> {
  const { width } = own.sites.locate({ layer: 1, component: component as "block_output", unit: "pos" });
  const sourceRepresentation = Float32Array.from({ length: width }, (_, i) => 2 * Math.sin(3 * i));
  const representations = { layer: 1, component, interventionType: "addition", sourceRepresentation };
  const base = [
    [5, 17, 80, 3],
    [44, 9],
  ];
  const [found, expected] = await Promise.all(
    [model, own].map(async (one) => {
      const iv = new IntervenableModel({ representations }, one);
      const { original, intervened } = await iv.forward({ base: [base[0]!], unitLocations: { base: [[[1, 3]]] } });
      const tokens = await iv.generate(base, { maxNewTokens: 8, eosTokenIds: [], interveneOnPrompt: true });
      return { original, intervened, tokens: tokens.map((row) => row.tokens) };
    }),
  );
  expect(share(found!.intervened.logits.toFloat32(), expected!.intervened.logits)).toBeLessThanOrEqual(1e-4);
  expect(share(expected!.original!.logits.toFloat32(), expected!.intervened.logits)).toBeGreaterThan(1e-3);
  expect(found!.tokens).toEqual(expected!.tokens);
}
