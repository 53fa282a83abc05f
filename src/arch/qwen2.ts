/** Qwen 2 and 2.5: LLaMA with biases on queries, keys and values, and a sliding window in the upper layers if asked for. */
import type { ConfigReader } from "./config.ts";
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout, withWindows } from "./llama-config.ts";
import { separate } from "./projections.ts";
import { byLayerTypes, type Windows, windowOf } from "./windows.ts";

/**
 * sliding_window counts only where use_sliding_window is true, and then from layer max_window_layers on if layer_types does not
 * say otherwise. Throws `config-unsupported` where the two contradict each other.
 */
export function qwenWindows(config: ConfigReader, layers: number): Windows {
  const used = config.boolean("use_sliding_window", false);
  if (!used && config.strings("layer_types")?.includes("sliding_attention")) {
    throw config.unsupported("use_sliding_window", "true, as layer_types has layers with sliding_attention");
  }
  const window = used ? windowOf(config, 4096) : undefined;
  const from = config.number("max_window_layers", 28);
  return byLayerTypes(config, layers, window, (layer) => window !== undefined && layer >= from);
}

export const qwen2: Family = llamaFamily("qwen2", "Qwen 2 and 2.5", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 32768 });
  return { ...withWindows(layout, qwenWindows(config, layout.layers)), projections: separate(true) };
});
