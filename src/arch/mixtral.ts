/** Mixtral: Mistral with a mixture of experts for an MLP. */
import { activationOf } from "./activations.ts";
import { expertsMlp } from "./experts.ts";
import type { Family } from "./family.ts";
import { llamaFamily, readLlamaLayout, withWindows } from "./llama-config.ts";
import { everyLayer, windowOf } from "./windows.ts";

export const mixtral: Family = llamaFamily("mixtral", "Mixtral", (config) => {
  const layout = readLlamaLayout(config, { contextLength: 131072, epsilon: 1e-5, theta: 1_000_000 });
  const experts = config.int("num_local_experts", 8);
  return {
    ...withWindows(layout, everyLayer(layout.layers, windowOf(config))),
    mlp: expertsMlp({
      experts,
      chosen: config.int("num_experts_per_tok", 2, experts),
      inner: config.int("intermediate_size"),
      activation: activationOf(config, "hidden_act", "silu"),
    }),
    // transformers 5 calls the block mlp, checkpoints keep its first name.
    stored: (path) => path.replace(".mlp.", ".block_sparse_moe."),
  };
});
