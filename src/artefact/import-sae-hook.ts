/** TransformerLens's hook names as sites, and what TransformerLens may have done to the model that an SAE was trained on. */
import { VeneError } from "../base/errors.ts";
import { type Component, type Site, siteOfPyvene } from "../spec/sites.ts";

/** Hooks whose values are a component of the untouched model, if the model is not one of `unless`. */
const hooks: { readonly [hook: string]: { readonly component: Component; readonly unless?: RegExp } } = {
  hook_resid_pre: { component: "block_input" },
  hook_resid_post: { component: "block_output" },
  "attn.hook_z": { component: "attention_value_output" },
  // What is added to the residual stream: in these families a norm comes after the module.
  hook_mlp_out: { component: "mlp_output", unless: /gemma-?[23]|olmo-?[23]/i },
  hook_attn_out: { component: "attention_output", unless: /gemma-?[23]|olmo-?[23]/i },
};

/** The site of "blocks.20.hook_resid_post". Throws `import-unsupported`. */
export function siteOfHook(hook: string, model: string, name: string): Site {
  const [, layer, point] = /^blocks\.(\d{1,4})\.([a-z_.]+)$/.exec(hook) ?? [];
  const found = point !== undefined && Object.hasOwn(hooks, point) ? hooks[point] : undefined;
  if (found !== undefined && found.unless?.test(model) !== true)
    return siteOfPyvene(Number(layer), found.component, "pos");
  const where = found === undefined ? "" : ` of ${model.slice(0, 80)}`;
  throw new VeneError("import-unsupported", `${name}: no component holds the values of ${hook.slice(0, 80)}${where}`, {
    hint: `known are blocks.<layer>. and ${Object.keys(hooks).join(", ")}; layer and component can be given`,
    details: { name, hook },
  });
}

/** Families by TransformerLens's and the Hub's names: only LayerNorm lets TransformerLens centre what is written. */
const rmsNorm = /gemma|llama|mistral|mixtral|qwen|olmo-?[23]|deepseek/i;
const layerNorm = /gpt-?2|distilgpt|pythia|gpt-?neo|gpt-?j|opt-|bloom|tiny-?stories|gelu-|solu-|phi-[12]/i;
const valueBias = /qwen-?(1\.5|2)/i;

/** What a cfg.json says about the model. */
export interface LensFacts {
  readonly model: string;
  readonly hook: string;
  /** SAELens 6 and later load models unprocessed. */
  readonly unprocessed: boolean;
  /** model_from_pretrained_kwargs. */
  readonly options: { readonly [key: string]: unknown };
}

/**
 * Whether the SAE saw the residual stream less its mean. Throws `import-unsupported` where nobody can tell, and where the values
 * differ in another way.
 */
export function isCentred({ model, hook, unprocessed, options }: LensFacts, name: string): boolean {
  if (hook.endsWith("hook_z")) {
    const folded = options["fold_value_biases"] ?? !unprocessed;
    const bare = rmsNorm.test(model) && !valueBias.test(model);
    if (folded === false || bare) return false;
    return unclear(name, `TransformerLens takes the value biases of ${model} out of hook_z`, "fold_value_biases");
  }
  const asked = options["center_writing_weights"] ?? !unprocessed;
  if (asked === false || rmsNorm.test(model)) return false;
  if (layerNorm.test(model)) return true;
  return unclear(name, `whether TransformerLens centred the residual stream of ${model}`, "center_writing_weights");
}

function unclear(name: string, what: string, option: string): never {
  throw new VeneError("import-unsupported", `${name} leaves open ${what.slice(0, 160)}`, {
    hint: `if it was trained on the model as it is, add "model_from_pretrained_kwargs": {"${option}": false} to the file`,
    details: { name, option },
  });
}
