/** IntervenableModel: interventions bound to a model. Build it from a config or load it; run it, generate with it, save it. */
import type { Artefact } from "../../artefact/artefact.ts";
import { readArtefact, writeArtefact } from "../../artefact/read.ts";
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
import type { Steering } from "../steering.ts";
import { expandCells } from "./cells.ts";
import { artefactOfConfig, baseOf, type IntervenableConfig } from "./config.ts";
import { Forward, type ForwardInput, type ForwardResult, forwardInputNames, strengthsOf } from "./forward.ts";
import type { BatchInput } from "./inputs.ts";
import { everywhere, type Leg, type UnitLocations } from "./locations.ts";
import { type Resolved, resolveInterventions } from "./resolve.ts";
import type { Rule } from "./rules.ts";
import { planOf, policyRules } from "./steered-generation.ts";

export interface LoadInterventionOptions {
  /** Refuse a model with another fingerprint, or an artefact that records none. Default false: a notice is given. */
  readonly strictBase?: boolean;
}

export interface SaveOptions {
  /** Also write the files that pyvene loads, where it can. Default true. */
  readonly pyvene?: boolean;
}

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
}

const steeredOptionNames = [
  ...generateOptionNames,
  "strength",
  "tokens",
  "interveneOnPrompt",
  "unitLocations",
  "sources",
] as const satisfies readonly (keyof SteeredGenerateOptions)[];

export class IntervenableModel {
  readonly model: Model;
  readonly artefact: Artefact;
  /** What is worth knowing about how it was loaded, for people. */
  readonly notices: readonly string[];
  readonly #resolved: readonly Resolved[];

  /** pyvene's IntervenableModel(config, model). Throws `intervention-invalid`, `site-unknown`, `base-mismatch` and others. */
  constructor(config: IntervenableConfig | Artefact, model: Model, notices: readonly string[] = []) {
    this.model = model;
    this.artefact = "manifest" in config ? config : artefactOfConfig(config, model);
    this.notices = notices;
    this.#resolved = resolveInterventions(this.artefact, model);
  }

  /** Opens a folder in format 1 or as any pyvene saved it. Throws `artefact-missing` and all that reading and binding throw. */
  static async load(folder: string, model: Model, options: LoadInterventionOptions = {}): Promise<IntervenableModel> {
    const { artefact, notices } = await readArtefact(folder);
    const { fingerprint, model: made } = artefact.manifest.base;
    const known = fingerprint !== undefined;
    const other = known && fingerprint !== model.fingerprint;
    if (options.strictBase === true && (other || !known)) {
      const why = known
        ? `was made for ${made ?? "another model"}: other weights or precision`
        : "records no fingerprint of its base";
      throw new VeneError("base-mismatch", `${artefact.manifest.name} ${why}`, {
        hint: "load it without strictBase to accept any model of the same shape",
        details: { expected: fingerprint, found: model.fingerprint },
      });
    }
    const notice = `made for ${made ?? "another model"}; this model has the same shape but other weights or precision`;
    return new IntervenableModel(artefact, model, other ? [...notices, notice] : notices);
  }

  /** Whether forward and generate must be given sources. */
  get needsSources(): boolean {
    return this.#resolved.some((resolved) => resolved.needsSource);
  }

  /** pyvene's forward: the base with and without interventions. Throws `sources-invalid`, `locations-invalid` and others. */
  async forward(input: ForwardInput): Promise<ForwardResult> {
    checkKeys("forward's input", input, forwardInputNames, "usage");
    const forward = new Forward(this.model, this.#resolved, input.base);
    const { rules, leg } = await forward.rules(input, this.artefact.manifest.mode);
    const { logits, collected } = await forward.run(rules, leg);
    const result = { intervened: { logits }, collected, attentionMask: forward.attentionMask };
    if (input.outputOriginalOutput === false) return result;
    return { original: { logits: (await forward.run([], undefined)).logits }, ...result };
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
  save(folder: string, options: SaveOptions = {}): Promise<{ files: readonly string[]; notices: readonly string[] }> {
    const { manifest } = this.artefact;
    const base = { ...baseOf(this.model), ...withoutNulls(manifest.base) };
    return writeArtefact(folder, { ...this.artefact, manifest: { ...manifest, base } }, options);
  }

  /**
   * Prepares a session now. Both the interventions and the plain `model.generate` run in it: an intervention that is not
   * asked for changes nothing, and the weights are held once.
   */
  async warmUp(): Promise<void> {
    await this.model.warmUp(this.#resolved.map(({ point }) => point));
  }

  async #steering(rows: readonly (readonly number[])[], options: SteeredGenerateOptions): Promise<Steering> {
    const strengths = (resolved: Resolved) => strengthsOf(resolved, options.strength, rows.length);
    const located = await this.#locatedRules(rows, options);
    return {
      points: this.#resolved.map(({ point }) => point),
      plan: (layout, promptColumns, indices) => {
        const context = { resolved: this.#resolved, layout, promptColumns, indices };
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
    const forward = new Forward(this.model, this.#resolved, rows);
    const { rules, leg } = await forward.rules({ ...options, unitLocations }, this.artefact.manifest.mode);
    return { rules: [...rules, ...collectRules(this.#resolved, leg, forward.batch)], batch: forward.batch };
  }
}

/** Collecting interventions edit nothing; their rules mark what to keep. Throws `locations-invalid`. */
function collectRules(resolved: readonly Resolved[], { base }: Leg, batch: PromptBatch): Rule[] {
  const context = { layout: batch, promptColumns: batch.columns };
  return resolved.flatMap((one, index) => {
    if (!one.kind.collects) return [];
    const touches = new Uint8Array(batch.rows * batch.columns);
    batch.columnsOf.forEach((columns, row) => {
      const { positions } = expandCells(base[index]?.[row] ?? everywhere, context, row, one);
      for (const position of positions) touches[row * batch.columns + columns[position]!] = 1;
    });
    return [{ index, add: undefined, clear: undefined, touches, strengths: [] }];
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
    const touches = new Uint8Array(to.rows * to.columns);
    for (let row = 0; row < to.rows; row++) {
      touches.set(rule.touches.subarray(row * from.columns, (row + 1) * from.columns), row * to.columns);
    }
    return { ...rule, touches };
  });
}

function withoutNulls<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Partial<T>;
}
