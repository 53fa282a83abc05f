/** Mistral: LLaMA whose every layer has a sliding window, unless the config says null. */
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout, withWindows } from "./llama-config.ts";
import { everyLayer, windowOf } from "./windows.ts";

export const mistral: Family = llamaFamily("mistral", "Mistral and models of that layout", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 131072 });
  return withWindows(layout, everyLayer(layout.layers, windowOf(config, 4096)));
});
