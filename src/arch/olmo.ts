/** OLMo 1: LLaMA with LayerNorms that have no weights, and queries, keys and values clipped if the config says so. */
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout } from "./llama-config.ts";
import { bareLayerNorm } from "./norms.ts";
import { clipped, separate } from "./projections.ts";

export const olmo: Family = llamaFamily("olmo", "OLMo 1", (config) => {
  const bias = config.boolean("attention_bias", false);
  return {
    ...readLlamaLayout(config, { contextLength: 2048 }),
    norm: bareLayerNorm(1e-5),
    projections: config.has("clip_qkv") ? clipped(separate(bias), config.positive("clip_qkv")) : separate(bias),
    outputBias: bias,
  };
});
