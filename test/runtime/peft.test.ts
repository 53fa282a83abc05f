/** LoRA adapters that PEFT saved, against what PEFT computes with them: from its folder, and converted to format 1. */
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { temporaryFolder } from "../artefact/places.ts";
import { fixture, idsOf, largestDifference, rangeOf, readTensors } from "../support/fixtures.ts";

const adapters = [
  ["llama-all", "llama", 28],
  ["llama-rslora", "llama", 4],
  ["gpt2", "gpt2", 16],
] as const;

describe.each(adapters)("%s", (name, family, modules) => {
  test("logits and greedy tokens are PEFT's, from its folder and after a save", async () => {
    const folder = fixture("peft", name);
    const expected = await readTensors(join(folder, "expected.safetensors"));
    const ids = idsOf(expected.get("input_ids")!);
    const logits = expected.get("logits")!.toFloat32();
    const greedy = idsOf(expected.get("greedy")!)[0];
    const model = await loadModel(fixture("models", family));
    const saved = join(await temporaryFolder(), name);
    await (await IntervenableModel.load(folder, model)).save(saved);
    for (const source of [folder, saved]) {
      const iv = await IntervenableModel.load(source, model);
      expect(iv.artefact.manifest.interventions).toHaveLength(modules);
      const { intervened, original } = await iv.forward({ base: ids });
      expect(largestDifference(intervened.logits.toFloat32(), logits)).toBeLessThanOrEqual(1e-4 * rangeOf(logits));
      expect(largestDifference(original!.logits.toFloat32(), logits)).toBeGreaterThan(0.1 * rangeOf(logits));
      expect((await iv.generate(ids[0]!, { maxNewTokens: 12, eosTokenIds: [] })).tokens).toEqual(greedy);
    }
    await model.release();
  });
});

test("strength 0 is the plain model, and strength is linear in what a module adds", async () => {
  const model = await loadModel(fixture("models", "llama"));
  const iv = await IntervenableModel.load(fixture("peft", "llama-rslora"), model);
  const ids = [5, 9, 2, 40, 41];
  const options = { maxNewTokens: 8, eosTokenIds: [] };
  const [off] = await iv.generate([ids], { ...options, strength: 0 });
  expect(off!.tokens).toEqual((await model.generate(ids, options)).tokens);
  const { manifest, tensors } = iv.artefact;
  const doubled = manifest.interventions.map((entry) =>
    entry.kind === "lora" ? { ...entry, parameters: { scaling: 2 * entry.parameters.scaling } } : entry,
  );
  const twice = new IntervenableModel({ manifest: { ...manifest, interventions: doubled }, tensors }, model);
  const [strong] = await iv.generate([ids], { ...options, strength: 2 });
  expect(strong!.tokens).toEqual((await twice.generate(ids, options)).tokens);
  await model.release();
});

test("a model of other sizes or other modules is refused", async () => {
  const [llama, gpt2] = await Promise.all(["llama", "gpt2"].map((family) => loadModel(fixture("models", family))));
  const mha = await loadModel(fixture("models", "llama_mha"));
  await expect(IntervenableModel.load(fixture("peft", "llama-all"), gpt2!)).rejects.toMatchObject({
    code: "site-unknown",
  });
  await expect(IntervenableModel.load(fixture("peft", "gpt2"), llama!)).rejects.toMatchObject({ code: "site-unknown" });
  await expect(IntervenableModel.load(fixture("peft", "llama-all"), mha)).rejects.toMatchObject({
    code: "base-mismatch",
  });
  await Promise.all([llama!, gpt2!, mha].map((model) => model.release()));
});
