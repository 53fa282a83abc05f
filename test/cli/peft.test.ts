/** A folder that PEFT saved wherever an intervention may stand on the command line. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { seededRandom } from "../../src/base/rng.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { Tensor } from "../../src/index.ts";
import { fixture } from "../support/fixtures.ts";
import { scratch, tiny, vene, veneJson } from "./terminal.ts";

/** A LoRA for examples/truthful-tiny (hidden size 128) on two layers' queries. */
function adapter(): string {
  const folder = join(scratch(), "lora");
  mkdirSync(folder);
  const config = { peft_type: "LORA", r: 2, lora_alpha: 8, base_model_name_or_path: "vene-test/tiny" };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
  const random = seededRandom(5);
  const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
  const tensors = new Map<string, Tensor>();
  for (const layer of [0, 1]) {
    const name = `base_model.model.model.layers.${layer}.self_attn.q_proj`;
    tensors.set(`${name}.lora_A.weight`, Tensor.float32([2, 128], normal(256)));
    tensors.set(`${name}.lora_B.weight`, Tensor.float32([128, 2], normal(256)));
  }
  writeFileSync(join(folder, "adapter_model.safetensors"), encodeSafetensors(tensors));
  return folder;
}

test("generate steers with it", async () => {
  const argv = ["generate", "--model", tiny, "--intervention", adapter(), "--max-new-tokens", "6"];
  const { code, json } = await veneJson([...argv, "Q: Which is larger, 7 or 31? A:"]);
  expect(code).toBe(0);
  expect(json.intervention).toMatchObject({ name: "lora", notices: [] });
  expect(json.steered.tokens).not.toEqual(json.plain.tokens);
  const off = await veneJson([...argv, "--strength", "0", "Q: Which is larger, 7 or 31? A:"]);
  expect(off.json.steered.tokens).toEqual(json.plain.tokens);
});

test("inspect says what it is", async () => {
  const { code, json } = await veneJson(["inspect", fixture("peft", "llama-rslora")]);
  expect(code).toBe(0);
  expect(json).toMatchObject({
    is: "artefact",
    source: "peft",
    base: { model: "vene-test/llama", revision: "0123abc" },
  });
  expect(json.interventions).toHaveLength(4);
  expect(json.interventions[0]).toMatchObject({
    ...{ kind: "lora", site: "model.layers[1].self_attn.q_proj.output", tokens: "all", rank: 3 },
    strength: { default: 1, min: 0, max: 2 },
    trainable: 3 * (32 + 32),
  });
  const { out } = await vene(["inspect", fixture("peft", "gpt2")]);
  expect(out).toContain("PEFT");
  expect(out).toContain("transformer.h[0].attn.c_attn.output");
});
