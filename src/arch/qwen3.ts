/** Qwen 3: LLaMA with RMSNorm on each head's queries and keys, and heads whose sizes need not add up to the hidden size. */
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout, withWindows } from "./llama-config.ts";
import { normalised, separate } from "./projections.ts";
import { qwenWindows } from "./qwen2.ts";

export const qwen3: Family = llamaFamily("qwen3", "Qwen 3", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 32768, headSize: 128 });
  const bias = config.boolean("attention_bias", false);
  return {
    ...withWindows(layout, qwenWindows(config, layout.layers)),
    projections: normalised(separate(bias), layout.norm, "head"),
    outputBias: bias,
  };
});
