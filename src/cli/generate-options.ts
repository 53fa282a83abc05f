/** The options of `vene generate`: their definition, what does not go together, and what they mean to the library. */
import { type Command, Option } from "commander";
import type {
  GenerateOptions,
  IntervenableModel,
  ModelDType,
  SteeredGenerateOptions,
  UnitLocations,
} from "../index.ts";
import { UsageError } from "./failures.ts";
import { countValue, dtypeValue, listValue, locationsValue, numberValue } from "./option-values.ts";
import { promptMaker } from "./prompt-input.ts";

export const DEFAULT_NEW_TOKENS = 64;

/** As commander gives them; switches are absent unless given. */
export interface GenerateFlags {
  readonly model?: string;
  readonly intervention?: string;
  readonly chat?: true;
  readonly system?: string;
  readonly tokens?: string;
  readonly interveneOnPrompt?: true;
  readonly unitLocations?: UnitLocations;
  readonly source?: readonly string[];
  readonly strength?: number;
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly dtype?: ModelDType;
  readonly threads?: number;
  readonly plainOnly?: true;
  readonly steeredOnly?: true;
}

function option(flags: string, description: string, parse?: (text: string, before: never) => unknown): Option {
  const made = new Option(flags, description);
  return parse === undefined ? made : made.argParser(parse as (text: string, before: unknown) => unknown);
}

export function addGenerateOptions(command: Command): Command {
  const options = [
    option(
      "--model <source>",
      "required: a checkpoint folder with config.json, *.safetensors, tokenizer.json; or a Hub id",
    ),
    option(
      "--intervention <source>",
      "the intervention, in vene's format or as pyvene saved it: folder or Hub id; without it only the plain answer",
    ),
    option("--chat", "send the prompt (and sources) as a user's message through the model's chat template"),
    option("--system <text>", "system message; needs --chat"),
    option("--tokens <policy>", 'tokens to touch: generated, all, prompt, last, or "prompt=last;generated=0..5"'),
    option("--intervene-on-prompt", "as in pyvene: touch the prompt as well as what is generated").conflicts("tokens"),
    option(
      "--unit-locations <json>",
      "as in pyvene: positions of the prompt to touch, nothing generated",
      locationsValue,
    ).conflicts("tokens"),
    option("--source <text>", "text to take activations from: once for all, or repeated, one per group", listValue),
    option("--strength <x>", "factor on the intervention, in place of its default", numberValue),
    option("--max-new-tokens <n>", "stop after so many tokens", countValue).default(DEFAULT_NEW_TOKENS),
    option("--temperature <t>", "sample; without it the likeliest token is taken (greedy)", numberValue),
    option("--top-p <p>", "sample from the likeliest tokens that make up this probability", numberValue),
    option("--top-k <k>", "sample from the k likeliest tokens", numberValue),
    option("--min-p <p>", "sample from tokens at least this fraction as likely as the likeliest", numberValue),
    option("--repetition-penalty <r>", "above 1: make tokens that occurred less likely", numberValue),
    option("--seed <n>", "the same seed gives the same sample", numberValue),
    option("--stop <text>", "end before this text; may be repeated", listValue),
    option("--dtype <dtype>", "weights: fp32 (default), or quantised once to 8 or 4 bits: q8, q4", dtypeValue),
    option("--threads <n>", "threads to compute with (default: one per core)", countValue),
    option("--plain-only", "only the answer without the intervention"),
    option("--steered-only", "only the answer with the intervention").conflicts("plainOnly"),
  ];
  for (const one of options) command.addOption(one);
  return command;
}

const needIntervention = {
  tokens: "--tokens",
  interveneOnPrompt: "--intervene-on-prompt",
  unitLocations: "--unit-locations",
  source: "--source",
  strength: "--strength",
  steeredOnly: "--steered-only",
} as const;

/** Throws `UsageError` without a model, and for options that mean nothing without another one. */
export function checkFlags(flags: GenerateFlags): asserts flags is GenerateFlags & { readonly model: string } {
  // Not left to commander, which would complain of this before naming the option that was misspelt.
  if (flags.model === undefined) throw new UsageError("--model is missing", "name the folder or the Hub id of a model");
  if (flags.system !== undefined && flags.chat === undefined) {
    throw new UsageError("--system needs --chat", "a plain prompt has no system message");
  }
  if (flags.intervention !== undefined) return;
  for (const [key, flag] of Object.entries(needIntervention)) {
    if (flags[key as keyof typeof needIntervention] === undefined) continue;
    throw new UsageError(`${flag} needs --intervention`, "name the folder of the intervention it is about");
  }
}

export function plainOptions(flags: GenerateFlags, signal: AbortSignal): GenerateOptions {
  const { maxNewTokens, temperature, topP, topK, minP, repetitionPenalty, seed, stop } = flags;
  return { maxNewTokens, temperature, topP, topK, minP, repetitionPenalty, seed, stop, signal };
}

/** Throws `tokens-invalid`. */
export async function steeredOptions(flags: GenerateFlags, signal: AbortSignal): Promise<SteeredGenerateOptions> {
  const { parseTokensPolicy } = await import("../index.ts");
  const promptOf = promptMaker(flags.chat === true, flags.system);
  return {
    ...plainOptions(flags, signal),
    tokens: flags.tokens === undefined ? undefined : parseTokensPolicy(flags.tokens),
    interveneOnPrompt: flags.interveneOnPrompt,
    unitLocations: flags.unitLocations,
    sources: flags.source?.map(promptOf),
    strength: flags.strength,
  };
}

/** What the options ask for that is allowed but probably not meant. */
export function flagNotices(flags: GenerateFlags, iv: IntervenableModel | undefined): readonly string[] {
  const notices: string[] = [];
  const sampling = { topP: "--top-p", topK: "--top-k", minP: "--min-p", seed: "--seed" } as const;
  const idle = Object.entries(sampling).flatMap(([key, flag]) =>
    flags[key as keyof typeof sampling] === undefined ? [] : [flag],
  );
  if (idle.length > 0 && !flags.temperature) {
    notices.push(`${idle.join(", ")} changes nothing without --temperature: the likeliest token is taken`);
  }
  if (iv === undefined) return notices;
  if (flags.source !== undefined && !iv.needsSources) {
    notices.push("--source is not used: no intervention takes its value from a source");
  }
  const { strength } = flags;
  const strict = iv.artefact.manifest.interventions.find(
    (entry) => strength !== undefined && (strength < entry.strength.min || strength > entry.strength.max),
  );
  if (strict !== undefined) {
    const { min, max } = strict.strength;
    notices.push(
      `strength ${strength} is outside the range ${min} to ${max} that ${iv.artefact.manifest.name} was made for`,
    );
  }
  return notices;
}
