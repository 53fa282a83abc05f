/** Gemma 2: Gemma with norms after attention and MLP too, capped scores and logits, and a sliding window in every other layer. */
import type { ConfigReader } from "./config.ts";
import type { Family } from "./family.ts";
import { readGemmaLayout } from "./gemma.ts";
import { llamaFamily, withWindows } from "./llama-config.ts";
import { byLayerTypes, windowOf } from "./windows.ts";

/** Norms before and after attention and MLP, as Gemma 2 and 3 have them. */
export const sandwichNorms = {
  attention: { before: "input_layernorm", after: "post_attention_layernorm" },
  mlp: { before: "pre_feedforward_layernorm", after: "post_feedforward_layernorm" },
} as const;

/** A cap, or undefined where the config says null; `fallback` where it says nothing. */
export function capOf(config: ConfigReader, key: string, fallback?: number): number | undefined {
  const none = config.isNull(key) || (fallback === undefined && !config.has(key));
  return none ? undefined : config.positive(key, fallback);
}

export const gemma2: Family = llamaFamily("gemma2", "Gemma 2", (config) => {
  const layout = readGemmaLayout(config, 8192);
  const windows = byLayerTypes(config, layout.layers, windowOf(config, 4096), (layer) => layer % 2 === 0);
  return {
    ...withWindows(layout, windows),
    norms: sandwichNorms,
    scale: config.positive("query_pre_attn_scalar", 256) ** -0.5,
    scoreCap: capOf(config, "attn_logit_softcapping", 50),
    logitCap: capOf(config, "final_logit_softcapping", 30),
  };
});
