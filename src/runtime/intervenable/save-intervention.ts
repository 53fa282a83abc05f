/** saveIntervention: pushes a model's interventions to the Hub, with answers that the model gives for the card. */
import type { Artefact } from "../../artefact/artefact.ts";
import type { CardSample } from "../../artefact/card-body.ts";
import { checkKeys } from "../../base/known-keys.ts";
import type { Expected } from "../../spec/manifest.ts";
import type { ChatMessage } from "../chat.ts";
import type { Generation } from "../generation-stream.ts";
import type { Model } from "../model.ts";
import { type PushArtefactOptions, type PushedArtefact, pushInMemory, pushOptionNames } from "../push-artefact.ts";

/** A text, or chat messages. */
export type SamplePrompt = string | readonly ChatMessage[];

export interface SaveInterventionOptions extends PushArtefactOptions {
  /** Also push the files that pyvene loads, where it can. Default true. */
  readonly pyvene?: boolean | undefined;
  /** Prompts to answer with and without the interventions: for the card, and recorded as what a correct load must say. */
  readonly samples?: readonly SamplePrompt[] | undefined;
  /** Of each sample. Default 32. */
  readonly maxNewTokens?: number | undefined;
}

/** What an IntervenableModel is here: a model that also answers with interventions. */
interface Answering {
  readonly model: Model;
  generate(
    prompt: SamplePrompt,
    options: { maxNewTokens: number; signal: AbortSignal | undefined },
  ): PromiseLike<Generation>;
}

const optionNames = [
  ...pushOptionNames,
  "pyvene",
  "samples",
  "maxNewTokens",
] as const satisfies readonly (keyof SaveInterventionOptions)[];

/** The work of `IntervenableModel.saveIntervention`; `artefact` is what `save` would write. */
export async function saveIntervention(
  iv: Answering,
  artefact: Artefact,
  repo: string,
  options: SaveInterventionOptions,
): Promise<PushedArtefact> {
  checkKeys("saveIntervention's options", options, optionNames, "usage");
  const { pyvene = true, samples: prompts, maxNewTokens = 32, ...rest } = options;
  if (prompts === undefined) {
    const samples = recordedSamples(artefact, iv.model);
    return pushInMemory(artefact, repo, rest, { pyvene, samples });
  }
  const { expected, samples } = await answers(iv, prompts, { maxNewTokens, signal: rest.signal });
  const manifest = { ...artefact.manifest, expected };
  return pushInMemory({ ...artefact, manifest }, repo, rest, { pyvene, samples });
}

/** Answers to prompts as a manifest records them, and as a card shows them. Greedy. */
export async function answers(
  iv: Answering,
  prompts: readonly SamplePrompt[],
  options: { readonly maxNewTokens: number; readonly signal: AbortSignal | undefined },
): Promise<{ expected: Expected[]; samples: CardSample[] }> {
  const expected: Expected[] = [];
  const samples: CardSample[] = [];
  for (const prompt of prompts) {
    const plain = await iv.model.generate(prompt, options);
    const steered = await iv.generate(prompt, options);
    samples.push({ prompt: textOf(prompt), plain: plain.text, steered: steered.text });
    const tokens = { plain: [...plain.tokens], steered: [...steered.tokens] };
    expected.push({ prompt: recorded(prompt), maxNewTokens: options.maxNewTokens, ...tokens });
  }
  return { expected, samples };
}

function recorded(prompt: SamplePrompt): Expected["prompt"] {
  return typeof prompt === "string" ? prompt : prompt.map(({ role, content }) => ({ role, content }));
}

/** What a card shows of a prompt. */
function textOf(prompt: SamplePrompt): string {
  return typeof prompt === "string" ? prompt : prompt.map(({ role, content }) => `${role}: ${content}`).join(" / ");
}

/** The texts of what the manifest records, where it was recorded with this very model. */
function recordedSamples({ manifest: { base, expected = [] } }: Artefact, model: Model): CardSample[] | undefined {
  const { tokenizer } = model;
  if (tokenizer === undefined || base.fingerprint !== model.fingerprint) return undefined;
  const samples = expected.flatMap(({ prompt, plain, steered, strength }): CardSample[] => {
    if (plain === undefined) return [];
    return [{ prompt: textOf(prompt), plain: tokenizer.decode(plain), steered: tokenizer.decode(steered), strength }];
  });
  return samples.length === 0 ? undefined : samples;
}
