/** Compiled checkpoints against numbers that transformers made: logits, every component, greedy tokens, padded batches, steering. */
import { describe, expect, test } from "@jest/globals";
import { allRows, forwardPass } from "../../src/runtime/forward.ts";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { rectangular } from "../../src/runtime/prompt-batch.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";

const families = [
  "gemma",
  "gemma2",
  "gemma3",
  "gpt2",
  "gpt_neo",
  "gpt_neox",
  "llama",
  "llama3_rope",
  "llama_mha",
  "mistral",
  "mixtral",
  "olmo",
  "olmo2",
  "opt",
  "phi",
  "phi3",
  "qwen2",
  "qwen3",
] as const;

describe.each(families)("%s", (family) => {
  const folder = fixture("models", family);
  const open = async () => {
    const model = await loadModel(folder);
    const reference = await readTensors(`${folder}/reference.safetensors`);
    const ids = idsOf(reference.get("input_ids")!);
    const batch = rectangular(ids, undefined, model.shape.vocabularySize);
    return { model, reference, ids, batch };
  };

  test("logits are transformers'", async () => {
    const { model, reference, batch } = await open();
    const { logits } = await forwardPass(model, { batch, points: [], logitRows: allRows(batch) });
    const expected = reference.get("logits")!.toFloat32();
    expect(logits.length).toBe(expected.length);
    expect(largestDifference(logits, expected)).toBeLessThanOrEqual(1e-4 * rangeOf(expected));
    await model.release();
  });

  test("every component's value is transformers'", async () => {
    const { model, reference, batch } = await open();
    const names = [...reference.keys()].filter((name) => name.startsWith("layers."));
    const perLayer = names.filter((name) => name.startsWith("layers.0.")).length;
    expect(perLayer).toBeGreaterThanOrEqual(7);
    expect(names.length).toBe(model.shape.layers * perLayer);
    const points = names.map((name) => {
      const [, layer, component] = /^layers\.(\d+)\.(\w+)$/.exec(name)!;
      const place = model.sites.locate({ layer: Number(layer), component: component as "block_output", unit: "pos" });
      return { value: place.value, width: place.width, edit: "none", read: true } as const;
    });
    const reads = { points: points.map((_, i) => i), rows: allRows(batch) };
    const result = await forwardPass(model, { batch, points, reads, logitRows: [] });
    names.forEach((name, i) => {
      const expected = reference.get(name)!;
      expect([name, points[i]!.width]).toEqual([name, expected.shape[2]]);
      const difference = largestDifference(result.reads.get(i)!, expected.toFloat32());
      expect([name, difference <= 1e-4 * rangeOf(expected.toFloat32())]).toEqual([name, true]);
    });
    await model.release();
  });

  test("greedy tokens are transformers', alone and in a left-padded batch", async () => {
    const { model, reference, ids } = await open();
    const expected = idsOf(reference.get("greedy")!)[0]!;
    const alone = await model.generate(ids[0]!, { maxNewTokens: 12, eosTokenIds: [] });
    expect([...ids[0]!, ...alone.tokens]).toEqual(expected);
    const padded = idsOf(reference.get("padded.input_ids")!);
    const mask = idsOf(reference.get("padded.attention_mask")!);
    const rows = padded.map((row, r) => row.filter((_, column) => mask[r]![column] === 1));
    expect(rows.map((row) => row.length)).toEqual([10, 6]);
    const together = await model.generate(rows, { maxNewTokens: 12, eosTokenIds: [] });
    const greedy = idsOf(reference.get("padded.greedy")!);
    expect(together.map((row) => row.tokens)).toEqual(greedy.map((row) => row.slice(10)));
    for (const [r, row] of rows.entries()) {
      const single = await model.generate(row, { maxNewTokens: 12, eosTokenIds: [] });
      expect(single.tokens).toEqual(together[r]!.tokens);
    }
    await model.release();
  });

  test("a vector added to a middle block's output does what a hook in PyTorch does", async () => {
    const { model, reference, ids } = await open();
    const steered = await readTensors(`${folder}/steered.safetensors`);
    const [layer] = steered.get("layer")!.toNumbers();
    const iv = new IntervenableModel(
      {
        representations: [
          {
            layer: layer!,
            component: "block_output",
            interventionType: "AdditionIntervention",
            sourceRepresentation: steered.get("vector")!,
          },
        ],
      },
      model,
    );
    const { intervened, original } = await iv.forward({ base: ids });
    const expected = steered.get("logits")!.toFloat32();
    const logits = intervened.logits.toFloat32();
    expect(largestDifference(logits, expected)).toBeLessThanOrEqual(1e-4 * rangeOf(expected));
    expect(largestDifference(original!.logits.toFloat32(), expected)).toBeGreaterThan(0.05 * rangeOf(expected));
    const options = { maxNewTokens: 12, eosTokenIds: [], tokens: { prompt: "all", generated: "all" } } as const;
    const alone = await iv.generate(ids[0]!, options);
    expect([...ids[0]!, ...alone.tokens]).toEqual(idsOf(steered.get("greedy")!)[0]);
    const mask = idsOf(reference.get("padded.attention_mask")!);
    const rows = idsOf(reference.get("padded.input_ids")!).map((row, r) => row.filter((_, c) => mask[r]![c] === 1));
    const together = await iv.generate(rows, options);
    const greedy = idsOf(steered.get("padded.greedy")!);
    expect(together.map((row) => row.tokens)).toEqual(greedy.map((row) => row.slice(10)));
    await model.release();
  });
});
