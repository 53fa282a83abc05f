/** Proves that an artefact does on this machine what it did on its maker's: generates what its manifest records, and compares. */
import { VeneError } from "../base/errors.ts";
import { IntervenableModel } from "../runtime/intervenable/intervenable-model.ts";
import type { Model } from "../runtime/model.ts";
import type { Expected } from "../spec/manifest.ts";

/** One recorded answer, and the one given now. */
export interface ReplayedAnswer {
  readonly prompt: Expected["prompt"];
  readonly side: "plain" | "steered";
  /** In place of the default strength. */
  readonly strength: number | undefined;
  /** Token ids, greedy. */
  readonly expected: readonly number[];
  readonly found: readonly number[];
  /** Index of the first token that differs; undefined where none does. */
  readonly differsAt: number | undefined;
}

export interface RunReport {
  /** The artefact's name. */
  readonly name: string;
  readonly answers: readonly ReplayedAnswer[];
  /** Every answer is token by token the recorded one. */
  readonly same: boolean;
  /** Whether the model has the fingerprint that the manifest records: other weights may well answer otherwise. */
  readonly sameBase: boolean;
  /** Sentences worth telling the user. */
  readonly notices: readonly string[];
}

/**
 * Generates the answers that the manifest of the artefact in `folder` records as `expected`, greedily, and compares the tokens.
 * Throws `registry-integrity` where nothing is recorded, and what loading and generating throw.
 */
export async function verifyRun(
  folder: string,
  model: Model,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<RunReport> {
  const iv = await IntervenableModel.load(folder, model);
  const { name, base, expected = [] } = iv.artefact.manifest;
  if (expected.length === 0) {
    throw new VeneError("registry-integrity", `${name} records no answers that could be compared`, {
      hint: "its maker can add them: save it with samples, a list of prompts",
      details: { folder },
    });
  }
  const answers: ReplayedAnswer[] = [];
  for (const { prompt, maxNewTokens, plain, steered, strength } of expected) {
    const options = { maxNewTokens, signal };
    if (plain !== undefined) {
      const { tokens } = await model.generate(prompt, options);
      answers.push(compared(prompt, "plain", undefined, plain, tokens));
    }
    const { tokens } = await iv.generate(prompt, { ...options, ...(strength === undefined ? {} : { strength }) });
    answers.push(compared(prompt, "steered", strength, steered, tokens));
  }
  return {
    name,
    answers,
    same: answers.every(({ differsAt }) => differsAt === undefined),
    sameBase: base.fingerprint === model.fingerprint,
    notices: iv.notices,
  };
}

function compared(
  prompt: Expected["prompt"],
  side: ReplayedAnswer["side"],
  strength: number | undefined,
  expected: readonly number[],
  found: readonly number[],
): ReplayedAnswer {
  const longer = Math.max(expected.length, found.length);
  const differsAt = Array.from({ length: longer }).findIndex((_, i) => expected[i] !== found[i]);
  return { prompt, side, strength, expected, found: [...found], differsAt: differsAt === -1 ? undefined : differsAt };
}
