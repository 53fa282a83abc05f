/** The closed table of model families; config.json's model_type picks the row. */
import { VeneError } from "../base/errors.ts";
import type { ConfigReader } from "./config.ts";
import { esm } from "./esm.ts";
import type { Family } from "./family.ts";
import { gemma } from "./gemma.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gptNeo } from "./gpt-neo.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { mamba } from "./mamba.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { olmo } from "./olmo.ts";
import { olmo2 } from "./olmo2.ts";
import { opt } from "./opt.ts";
import { phi } from "./phi.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

export const families = {
  esm,
  gemma,
  gemma2,
  gemma3_text: gemma3,
  gpt2,
  gpt_neo: gptNeo,
  gpt_neox: gptNeox,
  llama,
  mamba,
  mistral,
  mixtral,
  olmo,
  olmo2,
  opt,
  phi,
  phi3,
  qwen2,
  qwen3,
} as const satisfies Readonly<Record<string, Family>>;

export type FamilyName = keyof typeof families;

/** Quantised weights may have the names and shapes of plain ones, and mean nothing without their scales. */
function refuseQuantised(config: ConfigReader): void {
  const method = config.child("quantization_config")?.string("quant_method", "unknown");
  if (method === undefined) return;
  throw new VeneError("config-unsupported", `quantization_config says that the weights are quantised (${method})`, {
    hint: "use the checkpoint that this one was quantised from: bfloat16, float16 or float32",
    details: { key: "quantization_config", method },
  });
}

/** The family of a config. Throws `architecture-unknown`, listing those that exist, and `config-unsupported` if quantised. */
export function familyOf(config: ConfigReader): Family {
  refuseQuantised(config);
  const type = config.string("model_type");
  if (Object.hasOwn(families, type)) return families[type as FamilyName];
  const known = Object.keys(families);
  throw new VeneError("architecture-unknown", `model_type is ${JSON.stringify(type)}, which vene does not compile`, {
    hint: `known: ${known.join(", ")}`,
    details: { modelType: type, known },
  });
}
