/** OLMo 2: LLaMA with norms after attention and MLP instead of before, and on queries and keys, all heads at once. */
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout } from "./llama-config.ts";
import { normalised, separate } from "./projections.ts";

export const olmo2: Family = llamaFamily("olmo2", "OLMo 2", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 2048, epsilon: 1e-5 });
  const bias = config.boolean("attention_bias", false);
  return {
    ...layout,
    norms: { attention: { after: "post_attention_layernorm" }, mlp: { after: "post_feedforward_layernorm" } },
    projections: normalised(separate(bias), layout.norm, "all"),
    outputBias: bias,
  };
});
