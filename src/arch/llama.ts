/** LLaMA 1, 2, 3 and models of the same layout (SmolLM, TinyLlama, ...): RMSNorm, rotary attention with grouped heads, gated MLP. */
import { activationOf } from "./activations.ts";
import type { Family } from "./family.ts";
import { gatedMlp } from "./gated-mlp.ts";
import { llamaFamily, readLlamaLayout } from "./llama-config.ts";
import { separate } from "./projections.ts";

export const llama: Family = llamaFamily("llama", "LLaMA 1, 2, 3, SmolLM and models of that layout", (config) => {
  const attentionBias = config.boolean("attention_bias", false);
  return {
    ...readLlamaLayout(config, { contextLength: 2048 }),
    projections: separate(attentionBias),
    outputBias: attentionBias,
    mlp: gatedMlp({
      inner: config.int("intermediate_size"),
      activation: activationOf(config, "hidden_act", "silu"),
      bias: config.boolean("mlp_bias", false),
    }),
  };
});
