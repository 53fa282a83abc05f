/** Gemma 3, text only: Gemma 2 with RMSNorm on queries and keys instead of capped scores, and another rope in sliding layers. */
import { ConfigReader } from "./config.ts";
import type { Family } from "./family.ts";
import { readGemmaLayout } from "./gemma.ts";
import { capOf, sandwichNorms } from "./gemma2.ts";
import { layerKinds, llamaFamily } from "./llama-config.ts";
import { normalised } from "./projections.ts";
import { ropeOf } from "./rotary.ts";
import { byLayerTypes, windowOf } from "./windows.ts";

/** Sliding layers turn by a rope of their own: nested in rope_parameters, or (transformers 4) at rope_local_base_freq. */
function ropes(config: ConfigReader, headSize: number) {
  const nested = config.child("rope_parameters");
  const near = nested?.child("sliding_attention");
  const old = new ConfigReader({ rope_theta: config.number("rope_local_base_freq", 10_000) });
  return {
    full: ropeOf(config, headSize, { parameters: nested?.child("full_attention"), theta: 1_000_000 }),
    sliding: ropeOf(config, headSize, { parameters: near ?? old }),
  };
}

export const gemma3: Family = llamaFamily("gemma3_text", "Gemma 3 (text only)", (config) => {
  const layout = readGemmaLayout(config, 131072);
  if (config.has("attn_logit_softcapping")) throw config.unsupported("attn_logit_softcapping", "null");
  const pattern = config.int("sliding_window_pattern", 6);
  const isSliding = (layer: number) => (layer + 1) % pattern !== 0;
  const windows = byLayerTypes(config, layout.layers, windowOf(config, 4096), isSliding);
  const { full, sliding } = ropes(config, layout.headSize);
  return {
    ...layout,
    ...layerKinds(windows, (window) => (window === undefined ? full : sliding)),
    norms: sandwichNorms,
    projections: normalised(layout.projections, layout.norm, "head"),
    scale: config.positive("query_pre_attn_scalar", 256) ** -0.5,
    logitCap: capOf(config, "final_logit_softcapping"),
  };
});
