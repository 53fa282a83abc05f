/** `vene generate`: the plain and the steered answer to a prompt. */
import type { Generation, IntervenableModel, Model } from "../../index.ts";
import { answer, answerJson, timingsJson } from "../answers.ts";
import {
  addGenerateOptions,
  checkFlags,
  flagNotices,
  type GenerateFlags,
  plainOptions,
  steeredOptions,
} from "../generate-options.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { openModel } from "../loading.ts";
import { printNotices } from "../notices.ts";
import { Progress } from "../progress.ts";
import { promptMaker, readPrompt } from "../prompt-input.ts";
import { pullingOptions } from "../pulling.ts";

const examples = `
The prompt is read from stdin when there is none, or when it is "-". Two answers come one after the other under the
headings "plain" and "steered"; a single one comes without heading. Without --tokens, --intervene-on-prompt and
--unit-locations the tokens that the intervention itself names are touched (pyvene's saves: only generated ones).

A model or an intervention is a folder, or an id on the Hub: "org/name", "org/name@revision". It is pulled first.

--json prints { model, intervention, promptTokens, plain, steered, timings }. plain and steered are
{ text, tokens, finishReason } or null where not asked for; timings are milliseconds: load, and for plain and steered
{ promptMs, decodeMs, tokensPerSecond }.

Examples:
  $ vene generate --model ./SmolLM2-135M-Instruct --intervention ./cheerful --chat "What should I do this weekend?"
  $ vene generate --model ./SmolLM2-135M-Instruct --intervention ./cheerful --strength 1.5 --tokens all "I think that"
  $ vene generate --model ./SmolLM2-135M-Instruct --intervention ./patch --source "The capital of Japan is" \\
      --unit-locations '{"sources->base": [4, 4]}' "The capital of France is"
  $ echo "Once upon a time" | vene generate --model ./SmolLM2-135M-Instruct --temperature 0.8 --top-p 0.95 --seed 7
`;

export const defineGenerate: DefineCommand = (command, context) => {
  command
    .description("Prints what a model answers to a prompt, without and with an intervention.")
    .argument("[prompt]", 'the prompt; "-" reads stdin')
    .addHelpText("after", examples);
  addGenerateOptions(command).action(async (prompt: string | undefined, flags: GenerateFlags) =>
    generate(prompt, flags, context()),
  );
};

interface Loaded {
  readonly model: Model;
  readonly iv: IntervenableModel | undefined;
  readonly loadMs: number;
}

async function generate(argument: string | undefined, flags: GenerateFlags, context: CommandContext): Promise<void> {
  checkFlags(flags);
  const { signal } = context.interrupt;
  const steered = await steeredOptions(flags, signal);
  const prompt = promptMaker(flags.chat === true, flags.system)(await readPrompt(argument, context));
  const progress = new Progress(context);
  const loaded = await load(flags, context, progress);
  const { model, iv } = loaded;
  try {
    const promptTokens = model.encode(prompt);
    printNotices([...model.notices, ...(iv?.notices ?? []), ...flagNotices(flags, iv)], context);
    const wanted = {
      plain: flags.steeredOnly === undefined,
      steered: iv !== undefined && flags.plainOnly === undefined,
    };
    const both = wanted.plain && wanted.steered;
    if (both) await iv!.check(promptTokens, steered);
    const ask = (label: "plain" | "steered", heading: string) =>
      answer(
        label === "plain"
          ? model.generate(promptTokens, plainOptions(flags, signal))
          : iv!.generate(promptTokens, steered),
        { label, heading: both ? heading : undefined, maxNewTokens: flags.maxNewTokens },
        context,
        progress,
      );
    const plainAnswer = wanted.plain ? await ask("plain", "plain") : undefined;
    if (both && !context.json) context.stdout.write("\n");
    const steeredAnswer = wanted.steered ? await ask("steered", `steered (${titleOf(iv!, flags)})`) : undefined;
    if (!context.json) return;
    const result = {
      ...describe(loaded, flags),
      promptTokens,
      ...answersJson(plainAnswer, steeredAnswer, loaded.loadMs),
    };
    context.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    await model.release();
  }
}

async function load(
  flags: GenerateFlags & { readonly model: string },
  context: CommandContext,
  progress: Progress,
): Promise<Loaded> {
  const { IntervenableModel: Intervenable } = await import("../../index.ts");
  const began = performance.now();
  try {
    const { threads, dtype } = flags;
    const model = await openModel(flags.model, context, progress, {
      ...(threads === undefined ? {} : { threads }),
      ...(dtype === undefined ? {} : { dtype }),
    });
    const iv =
      flags.intervention === undefined
        ? undefined
        : await Intervenable.load(flags.intervention, model, pullingOptions(context, progress));
    // One session serves both: an intervention that is not asked for changes nothing.
    await (iv ?? model).warmUp();
    return { model, iv, loadMs: performance.now() - began };
  } finally {
    progress.clear();
  }
}

function titleOf({ artefact }: IntervenableModel, { strength }: GenerateFlags): string {
  return strength === undefined ? artefact.manifest.name : `${artefact.manifest.name}, strength ${strength}`;
}

function describe({ model, iv }: Loaded, flags: GenerateFlags) {
  const { name, revision = null, architecture, dtype, folder } = model;
  const intervention =
    iv === undefined
      ? null
      : {
          name: iv.artefact.manifest.name,
          source: flags.intervention,
          pinned: iv.pinned ?? null,
          notices: [...iv.notices, ...flagNotices(flags, iv)],
        };
  return { model: { name, revision, architecture, dtype, folder }, intervention };
}

function answersJson(plain: Generation | undefined, steered: Generation | undefined, load: number) {
  const of = <T>(generation: Generation | undefined, json: (generation: Generation) => T) =>
    generation === undefined ? null : json(generation);
  return {
    plain: of(plain, answerJson),
    steered: of(steered, answerJson),
    timings: { load, plain: of(plain, timingsJson), steered: of(steered, timingsJson) },
  };
}
