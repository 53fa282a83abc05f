/** cfg.json of an SAE that SAELens saved, of any of its three generations, as plain checked values. */
import { z } from "zod";
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { describeIssues } from "../spec/issues.ts";
import { isCentred } from "./import-sae-hook.ts";

export interface SaeConfig {
  readonly architecture: "standard" | "jumprelu";
  readonly width: number | undefined;
  readonly latents: number | undefined;
  /** Whether the decoder's bias is taken from the input first. */
  readonly centresByBias: boolean;
  /** Whether the input's mean is. */
  readonly centresByMean: boolean;
  readonly hook: string;
  /** As TransformerLens calls it ("gemma-2-2b"), or its id on the Hub. */
  readonly model: string;
  readonly version: string | undefined;
}

const size = z.int().min(1).nullish();
const text = z.string().nullish();
const options = z.record(z.string(), z.unknown()).nullish();
const modelFields = {
  model_name: text,
  hook_name: text,
  hook_head_index: z.int().nullish(),
  model_class_name: text,
  model_from_pretrained_kwargs: options,
  sae_lens_version: text,
};

/** Before 6.0 all in one, since then the model's part as metadata ("meta" in the release candidates). */
const configSchema = z.looseObject({
  ...modelFields,
  architecture: text,
  d_in: size,
  d_sae: size,
  apply_b_dec_to_input: z.boolean().nullish(),
  normalize_activations: z.union([z.boolean(), z.string()]).nullish(),
  activation_fn: text,
  activation_fn_str: text,
  finetuning_scaling_factor: z.boolean().nullish(),
  hook_point: text,
  hook_point_head_index: z.int().nullish(),
  metadata: z.looseObject(modelFields).nullish(),
  meta: z.looseObject(modelFields).nullish(),
});

type Parsed = z.infer<typeof configSchema>;

/** Throws `import-invalid` for a config that is none, `import-unsupported` for one that no kind can express. */
export function parseSaeConfig(json: JsonValue, name: string): SaeConfig {
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    throw new VeneError("import-invalid", `${name}: ${describeIssues(parsed.error.issues).slice(0, 4).join("; ")}`, {
      details: { name },
    });
  }
  const config = parsed.data;
  const about = config.metadata ?? config.meta ?? config;
  const hook = about.hook_name ?? config.hook_point;
  const model = about.model_name;
  if (typeof hook !== "string" || typeof model !== "string") {
    const missing = typeof hook === "string" ? "model_name" : "hook_name";
    throw new VeneError("import-invalid", `${name} has no ${missing}`, {
      hint: "SAELens writes cfg.json with the model's and the hook's name",
      details: { name, missing },
    });
  }
  refuseOthers(config, about.hook_head_index ?? config.hook_point_head_index, name);
  const lens = (about.model_class_name ?? "HookedTransformer") === "HookedTransformer";
  const unprocessed = about !== config || !lens;
  return {
    architecture: config.architecture === "jumprelu" ? "jumprelu" : "standard",
    width: config.d_in ?? undefined,
    latents: config.d_sae ?? undefined,
    centresByBias: config.apply_b_dec_to_input ?? true,
    centresByMean: isCentred({ model, hook, unprocessed, options: about.model_from_pretrained_kwargs ?? {} }, name),
    hook,
    model,
    version: about.sae_lens_version ?? undefined,
  };
}

function refuseOthers(config: Parsed, head: number | null | undefined, name: string): void {
  const { architecture, normalize_activations: norm } = config;
  const activation = config.activation_fn ?? config.activation_fn_str;
  const faults: readonly (readonly [key: string, value: unknown, bad: boolean])[] = [
    ["architecture", architecture, !["standard", "jumprelu"].includes(architecture ?? "standard")],
    ["normalize_activations", norm, (norm ?? false) !== false && norm !== "none"],
    ["activation_fn", activation, (activation ?? "relu") !== "relu"],
    ["finetuning_scaling_factor", config.finetuning_scaling_factor, config.finetuning_scaling_factor === true],
    ["hook_head_index", head, head !== null && head !== undefined],
  ];
  const fault = faults.find(([, , bad]) => bad);
  if (fault === undefined) return;
  const [key, value] = fault;
  throw new VeneError("import-unsupported", `${name}: ${key} is ${JSON.stringify(value).slice(0, 120)}`, {
    hint: "vene reads standard (ReLU) and jumprelu SAEs of whole activations that are not normalised",
    details: { name, key },
  });
}
