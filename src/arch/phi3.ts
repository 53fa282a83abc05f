/** Phi-3, 3.5 and 4: LLaMA with queries, keys and values in one projection, and the MLP's gate and up in another. */
import { activationOf } from "./activations.ts";
import type { Family } from "./family.ts";
import { activated, type GatedMlpOptions, type Mlp } from "./gated-mlp.ts";
import { llamaFamily, readLlamaLayout, withWindows } from "./llama-config.ts";
import type { Projections } from "./projections.ts";
import { sideWidths, unpacked } from "./self-attention.ts";
import { everyLayer, windowOf } from "./windows.ts";

/** qkv_proj: all queries, then all keys, then all values. */
const packed: Projections = (e, { layer, path, heads }, x) => {
  const width = sideWidths(heads).reduce((sum, one) => sum + one);
  const rows = e.dense(`${path}.qkv_proj`, x, heads.hiddenSize, width, { bias: false });
  return unpacked(e, layer, heads, path, rows);
};

/** gate_up_proj: the gate, then up. */
function packedMlp({ inner, activation }: GatedMlpOptions): Mlp {
  return (e, { layer, path, width }, x) => {
    const both = e.dense(`${path}.gate_up_proj`, x, width, 2 * inner, { bias: false });
    const [gate, up] = e.split([`${path}.gate`, `${path}.up`], both, [inner, inner], 1);
    const act = activated(e, layer, `${path}.activation_fn`, gate!, { inner, activation });
    return e.dense(`${path}.down_proj`, e.mul(`${path}.product`, up!, act), inner, width, { bias: false });
  };
}

export const phi3: Family = llamaFamily("phi3", "Phi-3, 3.5 and 4", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 4096, epsilon: 1e-5 });
  return {
    ...withWindows(layout, everyLayer(layout.layers, windowOf(config))),
    projections: packed,
    mlp: packedMlp({
      inner: config.int("intermediate_size"),
      activation: activationOf(config, "hidden_act", "silu"),
    }),
  };
});
