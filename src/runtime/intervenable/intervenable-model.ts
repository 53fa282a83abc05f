/** IntervenableModel: interventions bound to a model. Build it from a config or load it; run it, generate with it, save it. */
import type { Artefact } from "../../artefact/artefact.ts";
import { rotationNotices } from "../../artefact/check.ts";
import { writeArtefact } from "../../artefact/read.ts";
import { VeneError } from "../../base/errors.ts";
import { checkKeys } from "../../base/known-keys.ts";
import type { Tensor } from "../../base/tensor.ts";
import { checkTokensPolicy, type TokensPolicy } from "../../spec/tokens.ts";
import { generateRows } from "../generate.ts";
import {
  type GenerateOptions,
  type GenerationOf,
  type GenerationStream,
  generateOptionNames,
  streamOf,
} from "../generation-stream.ts";
import type { Model } from "../model.ts";
import { extended, leftPadded, type PromptBatch } from "../prompt-batch.ts";
import { isSinglePrompt, type Prompt } from "../prompts.ts";
import type { PushedArtefact } from "../push-artefact.ts";
import type { Steering } from "../steering.ts";
import { expandCells, type RuleContext } from "./cells.ts";
import { artefactOfConfig, baseOf, type IntervenableConfig } from "./config.ts";
import { Forward, type ForwardInput, type ForwardResult, forwardInputNames } from "./forward.ts";
import { strengthsOf } from "./groups.ts";
import type { BatchInput } from "./inputs.ts";
import { everywhere, type Leg, type UnitLocations } from "./locations.ts";
import { type LoadInterventionOptions, openIntervention } from "./open-intervention.ts";
import { pointsOf, type Resolved, resolveInterventions } from "./resolve.ts";
import { isCollectRule, isOperatorRule, type Rule } from "./rules.ts";
import { answers, type SamplePrompt, type SaveInterventionOptions, saveIntervention } from "./save-intervention.ts";
import { type SourceRepresentations, withRepresentations } from "./source-representations.ts";
import { planOf, policyRules } from "./steered-generation.ts";
import { trainableTensors } from "./trainable.ts";

export interface SaveOptions {
  /** Also write the files that pyvene loads, where it can. Default true. */
  readonly pyvene?: boolean;
  /** Prompts to answer with and without the interventions: for the card, and recorded as what a correct load must say. */
  readonly samples?: readonly SamplePrompt[];
  /** Of each sample. Default 32. */
  readonly maxNewTokens?: number;
}

const saveOptionNames = ["pyvene", "samples", "maxNewTokens"] as const satisfies readonly (keyof SaveOptions)[];

export interface SteeredGenerateOptions extends GenerateOptions {
  /** In place of each intervention's default strength, for all prompts or one per prompt. */
  readonly strength?: number | readonly number[] | undefined;
  /** In place of the artefact's tokens policy. */
  readonly tokens?: TokensPolicy | undefined;
  /** pyvene's switch: true touches all of the prompt and of what is generated, false only what is generated. */
  readonly interveneOnPrompt?: boolean | undefined;
  /** Positions of the prompt that are touched; nothing generated is. */
  readonly unitLocations?: UnitLocations | null | undefined;
  /** Sources for interventions without a constant one, as in `forward`; they are run once, on their own prompts. */
  readonly sources?: readonly (BatchInput | null)[] | undefined;
  /** Values in place of sources, as in `forward`. */
  readonly sourceRepresentations?: SourceRepresentations | undefined;
}

const steeredOptionNames = [
  ...generateOptionNames,
  "strength",
  "tokens",
  "interveneOnPrompt",
  "unitLocations",
  "sources",
  "sourceRepresentations",
] as const satisfies readonly (keyof SteeredGenerateOptions)[];

export class IntervenableModel {
  readonly model: Model;
  readonly artefact: Artefact;
  /** What is worth knowing about how it was loaded, for people. */
  readonly notices: readonly string[];
  /** "org/name@commit" if it was pulled from the Hub. */
  readonly pinned: string | undefined;
  readonly #resolved: readonly Resolved[];

  /** pyvene's IntervenableModel(config, model). Throws `intervention-invalid`, `site-unknown`, `base-mismatch` and others. */
  constructor(config: IntervenableConfig | Artefact, model: Model, notices: readonly string[] = [], pinned?: string) {
    this.model = model;
    this.pinned = pinned;
    this.artefact = "manifest" in config ? config : artefactOfConfig(config, model);
    this.notices = "manifest" in config ? notices : rotationNotices(this.artefact.manifest, this.artefact.tensors);
    this.#resolved = resolveInterventions(this.artefact, model);
  }

  /**
   * Opens a folder, or "org/name" or "org/name@revision" on the Hub, in format 1 or as any pyvene saved it. Throws
   * `artefact-missing`, `hub-*`, and all that reading and binding throw.
   */
  static async load(source: string, model: Model, options: LoadInterventionOptions = {}): Promise<IntervenableModel> {
    const { artefact, notices, pinned } = await openIntervention(source, model, options);
    return new IntervenableModel(artefact, model, notices, pinned);
  }

  /** Whether forward and generate must be given sources. */
  get needsSources(): boolean {
    return this.#resolved.some((resolved) => resolved.needsSource);
  }

  /**
   * Tensors that training changes, by the names they are saved under; linked interventions share theirs. pyvene's
   * get_trainable_parameters.
   */
  getTrainableParameters(): ReadonlyMap<string, Tensor> {
    return trainableTensors(this.artefact);
  }

  /** pyvene's forward: the base with and without interventions. Throws `sources-invalid`, `locations-invalid` and others. */
  async forward(input: ForwardInput): Promise<ForwardResult> {
    checkKeys("forward's input", input, forwardInputNames, "usage");
    const forward = new Forward(this.model, this.#resolved, input.base, input.sourceRepresentations);
    const wantsOriginal = input.outputOriginalOutput !== false;
    const prepared = await forward.prepare(input, this.artefact.manifest.mode, wantsOriginal);
    const { logits, collected } = await forward.run(prepared, input.subspaces);
    const result = { intervened: { logits }, collected, attentionMask: forward.attentionMask };
    const { original } = prepared;
    return original === undefined ? result : { original: { logits: forward.logits(original) }, ...result };
  }

  /** Activations of the collecting interventions on the base: forward without looking at logits. */
  async collect(input: Omit<ForwardInput, "outputOriginalOutput">): Promise<readonly Tensor[]> {
    return (await this.forward({ ...input, outputOriginalOutput: false })).collected;
  }

  /** Generates under the interventions; as `model.generate` otherwise. */
  generate<P extends Prompt | readonly Prompt[]>(
    input: P,
    options: SteeredGenerateOptions = {},
  ): GenerationStream<GenerationOf<P>> {
    checkKeys("generate's options", options, steeredOptionNames, "generation-invalid");
    return streamOf(input, (prompts) => this.#generateRows(prompts, options));
  }

  /**
   * Throws now what `generate` would throw about prompt and interventions, before anything is generated. Sources are run.
   */
  async check(input: Prompt | readonly Prompt[], options: SteeredGenerateOptions = {}): Promise<void> {
    const prompts: readonly Prompt[] = isSinglePrompt(input) ? [input] : input;
    const rows = prompts.map((prompt) => this.model.encode(prompt));
    const { padTokenId, shape } = this.model;
    const prompt = leftPadded(rows, padTokenId, shape.vocabularySize);
    const { plan, points } = await this.#steering(rows, options);
    plan(extended(prompt, 1), prompt.columns, [...points.keys()]);
  }

  async *#generateRows(prompts: readonly Prompt[], options: SteeredGenerateOptions) {
    const rows = prompts.map((prompt) => this.model.encode(prompt));
    return yield* generateRows(this.model, rows, options, await this.#steering(rows, options));
  }

  /** Writes format 1 and, where pyvene can load it, pyvene's files. Returns the files and what pyvene will miss. */
  async save(
    folder: string,
    options: SaveOptions = {},
  ): Promise<{ files: readonly string[]; notices: readonly string[] }> {
    checkKeys("save's options", options, saveOptionNames, "usage");
    const { samples: prompts, maxNewTokens = 32, ...rest } = options;
    const artefact = this.#withBase();
    if (prompts === undefined) return writeArtefact(folder, artefact, rest);
    const { expected, samples } = await answers(this, prompts, { maxNewTokens, signal: undefined });
    return writeArtefact(folder, { ...artefact, manifest: { ...artefact.manifest, expected } }, { ...rest, samples });
  }

  /**
   * Pushes what `save` writes to "org/name" on the Hub, in one commit that is checked afterwards. Throws `hub-unauthorized`,
   * `hub-conflict`, `hub-integrity` and others of the hub.
   */
  saveIntervention(repo: string, options: SaveInterventionOptions = {}): Promise<PushedArtefact> {
    return saveIntervention(this, this.#withBase(), repo, options);
  }

  #withBase(): Artefact {
    const { manifest } = this.artefact;
    const { revision, ...own } = baseOf(this.model);
    const base = { ...own, ...withoutNulls(manifest.base) };
    // A commit says nothing about a model of another name.
    if (revision !== undefined && base.model === own.model) base.revision ??= revision;
    return { ...this.artefact, manifest: { ...manifest, base } };
  }

  /**
   * Prepares a session now. Both the interventions and the plain `model.generate` run in it: an intervention that is not
   * asked for changes nothing, and the weights are held once.
   */
  async warmUp(): Promise<void> {
    await this.model.warmUp(pointsOf(this.#resolved));
  }

  async #steering(rows: readonly (readonly number[])[], options: SteeredGenerateOptions): Promise<Steering> {
    const strengths = (resolved: Resolved) => strengthsOf(resolved, options.strength, rows.length);
    const located = await this.#locatedRules(rows, options);
    const resolved = withRepresentations(this.#resolved, options.sourceRepresentations);
    return {
      points: pointsOf(this.#resolved),
      plan: (layout, promptColumns, indices) => {
        const context = { resolved, layout, promptColumns, indices, tokenizer: this.model.tokenizer };
        const rules =
          located === undefined
            ? policyRules(context, (resolved) => policyOf(resolved, options), strengths)
            : widened(located.rules, located.batch, layout);
        return planOf(context, rules);
      },
    };
  }

  /** Rules at prompt positions, made on the prompt alone; undefined where the tokens policy decides. */
  async #locatedRules(
    rows: readonly (readonly number[])[],
    options: SteeredGenerateOptions,
  ): Promise<{ rules: Rule[]; batch: PromptBatch } | undefined> {
    const unitLocations = options.unitLocations ?? null;
    if (unitLocations === null) return undefined;
    if (options.tokens !== undefined) {
      throw new VeneError("locations-invalid", "tokens and unitLocations both say what is touched", {
        hint: "give one of them",
      });
    }
    if (options.interveneOnPrompt === false) {
      // pyvene then counts in the single position of each new token, where only 0 exists: its default spelled out.
      if (Object.values(unitLocations).every((value) => value === 0)) return undefined;
      throw new VeneError(
        "locations-invalid",
        "unit locations are positions of the prompt, but interveneOnPrompt is false",
        {
          hint: "leave interveneOnPrompt out, or use tokens to choose generated tokens",
        },
      );
    }
    const forward = new Forward(this.model, this.#resolved, rows, options.sourceRepresentations);
    const { rules, leg } = await forward.prepare({ ...options, unitLocations }, this.artefact.manifest.mode, false);
    const context = { layout: forward.batch, promptColumns: forward.batch.columns, tokenizer: this.model.tokenizer };
    return { rules: [...rules, ...collectRules(this.#resolved, leg, context)], batch: forward.batch };
  }
}

/** Collecting interventions edit nothing; their rules mark what to keep. Throws `locations-invalid`. */
function collectRules(resolved: readonly Resolved[], { base }: Leg, context: RuleContext): Rule[] {
  const batch = context.layout;
  return resolved.flatMap((one, index) => {
    if (!one.collects) return [];
    const keeps = new Uint8Array(batch.rows * batch.columns);
    const heads = Array.from(batch.columnsOf, (columns, row) => {
      const cells = expandCells(base[index]?.[row] ?? everywhere, context, row, one);
      for (const position of cells.positions) keeps[row * batch.columns + columns[position]!] = 1;
      return cells.heads;
    });
    return [{ index, keeps, heads }];
  });
}

function policyOf({ entry }: Resolved, options: SteeredGenerateOptions): TokensPolicy {
  if (options.tokens !== undefined && options.interveneOnPrompt !== undefined) {
    throw new VeneError("tokens-invalid", "tokens and interveneOnPrompt both say what is touched", {
      hint: "give one of them",
    });
  }
  if (options.tokens !== undefined) return checkTokensPolicy(options.tokens);
  if (options.interveneOnPrompt === undefined) return entry.tokens;
  return { prompt: options.interveneOnPrompt ? "all" : "none", generated: "all" };
}

/** The same rules on a layout with further columns. */
function widened(rules: readonly Rule[], from: PromptBatch, to: PromptBatch): Rule[] {
  return rules.map((rule) => {
    // Blocks are kept by column, and the prompt's columns are the layout's first.
    if (isOperatorRule(rule)) return rule;
    const widen = (mask: Uint8Array) => {
      const wide = new Uint8Array(to.rows * to.columns);
      for (let row = 0; row < to.rows; row++) {
        wide.set(mask.subarray(row * from.columns, (row + 1) * from.columns), row * to.columns);
      }
      return wide;
    };
    return isCollectRule(rule) ? { ...rule, keeps: widen(rule.keeps) } : { ...rule, touches: widen(rule.touches) };
  });
}

function withoutNulls<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Partial<T>;
}
