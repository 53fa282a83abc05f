/** Sliding windows: how far back each layer sees. */
import type { ConfigReader } from "./config.ts";

/** Per layer, how many tokens a query sees, itself included; undefined where it sees all. */
export type Windows = readonly (number | undefined)[];

const types: readonly string[] = ["full_attention", "sliding_attention"];

/** sliding_window, or undefined where the config says null; `fallback` where it says nothing. */
export function windowOf(config: ConfigReader, fallback?: number): number | undefined {
  const none = config.isNull("sliding_window") || (fallback === undefined && !config.has("sliding_window"));
  return none ? undefined : config.int("sliding_window", fallback);
}

/** The same window in every layer. */
export function everyLayer(layers: number, window: number | undefined): Windows {
  return Array.from({ length: layers }, () => window);
}

/**
 * The window in layers that layer_types calls sliding_attention, or where `isSliding` says so when the config has no
 * layer_types. Throws `config-unsupported` for other types, a list of another length, and sliding layers without a window.
 */
export function byLayerTypes(
  config: ConfigReader,
  layers: number,
  window: number | undefined,
  isSliding: (layer: number) => boolean,
): Windows {
  const listed = config.strings("layer_types");
  if (listed !== undefined && (listed.length !== layers || listed.some((type) => !types.includes(type)))) {
    throw config.unsupported("layer_types", `a list of ${layers}, each ${types.join(" or ")}`);
  }
  return Array.from({ length: layers }, (_, layer) => {
    const sliding = listed === undefined ? isSliding(layer) : listed[layer] === "sliding_attention";
    if (sliding && window === undefined) {
      throw config.unsupported("sliding_window", `a number of tokens, as layer ${layer} has a sliding window`);
    }
    return sliding ? window : undefined;
  });
}
