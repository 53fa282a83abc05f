/** adapter_config.json of a PEFT LoRA: what of it decides numbers, and by name what is not plain LoRA. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { describeIssues } from "../spec/issues.ts";
import { matchesPattern, parsePattern } from "./import-peft-patterns.ts";

export const adapterConfigName = "adapter_config.json";

export interface PeftConfig {
  /** The id of the base on the Hub; undefined where the config names none, or a path on somebody's machine. */
  readonly baseModel: string | undefined;
  readonly revision: string | undefined;
  readonly version: string | undefined;
  /** What BAx is multiplied with at a module ("model.layers.0.self_attn.q_proj"). Throws `import-invalid` for a rank it has not. */
  readonly scalingOf: (module: string, rank: number) => number;
}

const text = z.string().nullish();
const configSchema = z.looseObject({
  r: z.int().min(1),
  lora_alpha: z.number(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.int().min(1)).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  bias: text,
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  base_model_name_or_path: text,
  revision: text,
  peft_version: text,
});

/** Keys that steer training, loading or other parts of PEFT: whatever they say, the numbers are the same. */
const harmless: ReadonlySet<string> = new Set([
  ...Object.keys(configSchema.shape),
  "peft_type",
  "task_type",
  "inference_mode",
  "auto_mapping",
  "lora_dropout",
  // A and B lie the same way round for Conv1D; only merging asks.
  "fan_in_fan_out",
  // Which modules have an A and a B is what the tensors' names say.
  "target_modules",
  "exclude_modules",
  "layers_to_transform",
  "layers_pattern",
  "megatron_config",
  "megatron_core",
  "runtime_config",
  // Settings of initialisations, which init_lora_weights names.
  "loftq_config",
  "eva_config",
  "corda_config",
  "lora_ga_config",
  // Nothing without use_qalora.
  "qalora_group_size",
]);

/** More than models have modules; each is compared with each. */
const MAX_PATTERNS = 8192;

/** Initialisations that leave the base's weights alone; PEFT does the others again whenever it loads an adapter. */
const gentleInitialisations: readonly string[] = ["gaussian", "orthogonal", "eva", "mica"];

/** Checks the config of an adapter. Throws `import-invalid` and `import-unsupported`. */
export function parsePeftConfig(json: JsonValue, name: string): PeftConfig {
  const type = typeof json === "object" && json !== null && !Array.isArray(json) ? json["peft_type"] : undefined;
  if (type !== "LORA") {
    const given = JSON.stringify(type ?? null).slice(0, 80);
    throw new VeneError("import-unsupported", `${name}: peft_type is ${given}, of PEFT's methods vene reads "LORA"`, {
      details: { name, type },
    });
  }
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    throw new VeneError("import-invalid", `${name}: ${describeIssues(parsed.error.issues).slice(0, 4).join("; ")}`, {
      hint: "PEFT's save_pretrained writes all of it",
      details: { name },
    });
  }
  refuseOtherThanPlain(parsed.data, name);
  const { base_model_name_or_path: base, revision, peft_version: version } = parsed.data;
  return {
    baseModel: base !== null && base !== undefined && looksLikeHubId(base) ? base : undefined,
    revision: revision ?? undefined,
    version: version ?? undefined,
    scalingOf: scalings(parsed.data, name),
  };
}

type Parsed = z.infer<typeof configSchema>;

function refuseOtherThanPlain(config: Parsed, name: string): void {
  const refuse = (key: string, value: unknown, why: string): never => {
    throw new VeneError("import-unsupported", `${name}: ${key} is ${JSON.stringify(value).slice(0, 120)}: ${why}`, {
      hint: "in Python: merge it into the model (merge_and_unload), or train it as plain LoRA",
      details: { name, key },
    });
  };
  if ((config.bias ?? "none") !== "none") refuse("bias", config.bias, "it also replaces biases of the base");
  const initial = config.init_lora_weights;
  if (typeof initial === "string" && !gentleInitialisations.includes(initial.toLowerCase())) {
    refuse("init_lora_weights", initial, "it changes the base's own weights before A and B are added");
  }
  for (const [key, value] of Object.entries(config)) {
    if (!harmless.has(key) && isOn(value)) refuse(key, value, "that is more than plain LoRA, or newer than this vene");
  }
}

function isOn(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== null && value !== undefined && value !== false;
}

function scalings(config: Parsed, name: string): PeftConfig["scalingOf"] {
  const ranks = new Set([config.r, ...Object.values(config.rank_pattern ?? {})]);
  const entries = Object.entries(config.alpha_pattern ?? {});
  if (entries.length > MAX_PATTERNS) {
    throw new VeneError(
      "import-unsupported",
      `${name}: alpha_pattern has ${entries.length} keys, over ${MAX_PATTERNS}`,
    );
  }
  const alphas = entries.map(([key, alpha]) => [parsePattern(key, `${name}, alpha_pattern`), alpha] as const);
  return (module, rank) => {
    if (!ranks.has(rank)) {
      const known = [...ranks].slice(0, 8).join(", ");
      throw new VeneError("import-invalid", `${module} has rank ${rank}, ${name} says ${known}`, {
        hint: "config and weights are of different adapters",
        details: { name, module, rank },
      });
    }
    const alpha = alphas.find(([pattern]) => matchesPattern(pattern, module))?.[1] ?? config.lora_alpha;
    return alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank);
  };
}

/** "org/name" or "name", not "./outputs/base" or "/home/me/base". */
function looksLikeHubId(name: string): boolean {
  return name.length <= 200 && /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/.test(name);
}
