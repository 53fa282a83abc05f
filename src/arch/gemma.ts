/** Gemma 1: LLaMA with scaled embeddings, RMSNorm weights stored less one, a GELU gate and a head that is the embedding. */
import { activationOf } from "./activations.ts";
import { ConfigReader } from "./config.ts";
import type { Family } from "./family.ts";
import { gatedMlp, type Mlp } from "./gated-mlp.ts";
import { llamaFamily, readLlamaLayout } from "./llama-config.ts";
import type { LlamaLayout } from "./llama-layout.ts";
import { shiftedRmsNorm } from "./norms.ts";
import { separate } from "./projections.ts";

/** What all Gemmas have in common. Throws `config-unsupported` for those that look both ways. */
export function readGemmaLayout(config: ConfigReader, contextLength: number): LlamaLayout {
  if (config.has("use_bidirectional_attention") && config.boolean("use_bidirectional_attention")) {
    throw config.unsupported("use_bidirectional_attention", "false");
  }
  const layout = readLlamaLayout(config, { contextLength, headSize: 256, tied: true });
  const bias = config.boolean("attention_bias", false);
  return {
    ...layout,
    norm: shiftedRmsNorm(config.number("rms_norm_eps", 1e-6)),
    projections: separate(bias),
    outputBias: bias,
    mlp: gemmaMlp(config),
    // As float32 has it; a bfloat16 model in PyTorch rounds it further.
    embeddingScale: Math.fround(Math.sqrt(layout.hiddenSize)),
  };
}

function gemmaMlp(config: ConfigReader): Mlp {
  const inner = config.int("intermediate_size");
  const key = config.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  // The first files said "gelu" and meant its approximation, as transformers knows.
  const legacy = key === "hidden_act" && config.has(key) && config.string(key) === "gelu";
  const reader = legacy ? new ConfigReader({}) : config;
  return gatedMlp({ inner, activation: activationOf(reader, key, "gelu_pytorch_tanh") });
}

export const gemma: Family = llamaFamily("gemma", "Gemma 1", (config) => readGemmaLayout(config, 8192));
