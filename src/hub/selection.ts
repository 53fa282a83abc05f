/** Which files of a repository a pull takes: an artefact's own, or a checkpoint's with one format of weights. */
import { VeneError } from "../base/errors.ts";

/** Picks paths of a listing. Throws where they are not what is looked for; `name` is the repository, for the message. */
export type Selection = (paths: readonly string[], name: string) => readonly string[];

/**
 * intervention.json with its tensors, card and config.json; or, of what pyvene saved, config.json and intkey_*.bin; or PEFT's
 * adapter_config.json with its weights. Throws `artefact-missing`.
 */
export const artefactSelection: Selection = (paths, name) => {
  const has = new Set(paths);
  const own = ["intervention.json", "intervention.safetensors", "README.md", "config.json"];
  if (has.has("intervention.json")) return own.filter((path) => has.has(path));
  if (has.has("adapter_config.json") && !paths.some((path) => path.startsWith("intkey_"))) {
    const weights = ["adapter_model.safetensors", "adapter_model.bin"].find((path) => has.has(path));
    return ["adapter_config.json", weights, "README.md"].filter(
      (path) => path !== undefined && has.has(path),
    ) as string[];
  }
  if (has.has("config.json")) {
    const keyFile = /^intkey_[^/]*\.bin$/;
    return paths.filter((path) => path === "config.json" || path === "README.md" || keyFile.test(path));
  }
  throw new VeneError("artefact-missing", `${name} is no intervention: it has ${someOf(paths)}`, {
    hint: "an intervention has intervention.json, config.json and intkey_*.bin from pyvene, or PEFT's adapter_config.json",
    details: { repo: name, found: paths.slice(0, 20) },
  });
};

/** Of a checkpoint, besides its weights. */
const modelParts = new Set([
  "README.md",
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
]);

/** config, tokenizer and safetensors. Throws `checkpoint-invalid` without a config and `weights-missing` without safetensors. */
export const modelSelection: Selection = (paths, name) => {
  const has = new Set(paths);
  if (!has.has("config.json")) {
    throw new VeneError("checkpoint-invalid", `${name} has no config.json: it has ${someOf(paths)}`, {
      hint: "give the repository of a Hugging Face checkpoint",
      details: { repo: name, found: paths.slice(0, 20) },
    });
  }
  const weights = weightFiles(paths, has);
  if (weights.length === 0) {
    const pickles = paths.filter((path) => /\.(bin|pt|pth|ckpt)$/.test(path));
    const others = pickles.length === 0 ? someOf(paths) : `only ${someOf(pickles)}`;
    throw new VeneError("weights-missing", `${name} has no model.safetensors: it has ${others}`, {
      hint: has.has("intervention.json")
        ? "it is an intervention: pull it as one, and its base as the model"
        : "vene reads .safetensors checkpoints: look for a revision that has them (refs/pr/...), or convert them",
      details: { repo: name, found: paths.slice(0, 20) },
    });
  }
  return [...paths.filter((path) => modelParts.has(path)), ...weights];
};

/** The index and its shards where there is one: that is what opening a checkpoint reads first. */
function weightFiles(paths: readonly string[], has: ReadonlySet<string>): readonly string[] {
  const index = "model.safetensors.index.json";
  if (has.has(index)) return paths.filter((path) => path === index || /^model-\d+-of-\d+\.safetensors$/.test(path));
  return has.has("model.safetensors") ? ["model.safetensors"] : [];
}

function someOf(paths: readonly string[]): string {
  if (paths.length === 0) return "no files";
  return `${paths.slice(0, 8).join(", ")}${paths.length > 8 ? `, and ${paths.length - 8} more` : ""}`;
}
