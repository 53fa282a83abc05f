/** A base model ready to run: loadModel, and what everything else asks of a model. */
import { basename, resolve } from "node:path";
import { type Checkpoint, openCheckpoint } from "../arch/checkpoint.ts";
import { familyOf } from "../arch/families.ts";
import type { Family, ModelShape } from "../arch/family.ts";
import { fingerprintOf } from "../arch/fingerprint.ts";
import type { SiteTable } from "../arch/sites.ts";
import { throwIfAborted } from "../base/abort.ts";
import type { Sha256 } from "../base/brands.ts";
import { elementCount } from "../base/dtype.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { ProgressListener } from "../base/progress.ts";
import type { Point } from "../interventions/points.ts";
import { cacheFolder } from "./cache-folder.ts";
import { type ChatTemplate, openChatTemplate } from "./chat.ts";
import { generateRows } from "./generate.ts";
import {
  type GenerateOptions,
  type GenerationOf,
  type GenerationStream,
  generateOptionNames,
  streamOf,
} from "./generation-stream.ts";
import { type Lease, ModelSessions } from "./model-sessions.ts";
import { type Prompt, promptIds } from "./prompts.ts";
import { Tokenizer } from "./tokenizer.ts";

export interface LoadModelOptions {
  /** What saved interventions record as their base: a Hub id. Default: the config's _name_or_path if it is an id, else the folder's name. */
  readonly name?: string;
  /** Threads inside an op; default: one per core. */
  readonly threads?: number;
  /** Where converted weights are kept; default: VENE_CACHE, XDG_CACHE_HOME/vene or ~/.cache/vene. */
  readonly cacheFolder?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Opens a Hugging Face checkpoint folder (config.json, *.safetensors, tokenizer.json). Reads headers only; weights are
 * prepared when first run. Throws `checkpoint-invalid`, `architecture-unknown`, `config-unsupported`, `weights-missing`,
 * `safetensors-invalid`, `tokenizer-missing`.
 */
export async function loadModel(folder: string, options: LoadModelOptions = {}): Promise<Model> {
  const checkpoint = await openCheckpoint(folder);
  const family = familyOf(checkpoint.config);
  const tokenizer = await Tokenizer.open(folder);
  const chatTemplate = tokenizer === undefined ? undefined : await openChatTemplate(folder, tokenizer);
  const fingerprint = await fingerprintOf(checkpoint);
  throwIfAborted(options.signal);
  return new Model(checkpoint, family, { fingerprint, tokenizer, chatTemplate }, options);
}

/** "name" or "organisation/name", as the Hub has it. Paths of somebody's machine are nobody's business. */
const hubId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$/;

/** The config's name where it is a Hub id, else the folder's. */
function nameOf({ config, folder }: Checkpoint): string {
  const name = config.has("_name_or_path") ? config.string("_name_or_path") : "";
  return hubId.test(name) ? name : basename(resolve(folder));
}

interface Opened {
  readonly fingerprint: Sha256;
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
}

export class Model {
  /** Folder it was loaded from, and the name made of it. */
  readonly folder: string;
  readonly name: string;
  /** model_type of config.json. */
  readonly architecture: string;
  readonly shape: ModelShape;
  /** Tells this checkpoint from others of the same shape: see `fingerprintOf`. */
  readonly fingerprint: Sha256;
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
  /** Generation ends at these tokens. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly #checkpoint: Checkpoint;
  readonly #sessions: ModelSessions;

  constructor(checkpoint: Checkpoint, family: Family, opened: Opened, options: LoadModelOptions) {
    const { config, generation } = checkpoint;
    this.folder = checkpoint.folder;
    this.name = options.name ?? nameOf(checkpoint);
    this.architecture = family.name;
    this.shape = family.shape(config);
    this.fingerprint = opened.fingerprint;
    this.tokenizer = opened.tokenizer;
    this.chatTemplate = opened.chatTemplate;
    this.eosTokenIds = (generation?.has("eos_token_id") ? generation : config).ids("eos_token_id");
    const pad = config.ids("pad_token_id")[0] ?? this.eosTokenIds[0] ?? 0;
    // What padding consists of never matters, but it must be a row of the embedding.
    this.padTokenId = pad < this.shape.vocabularySize ? pad : 0;
    this.#checkpoint = checkpoint;
    this.#sessions = new ModelSessions(
      checkpoint,
      family,
      { cacheFolder: options.cacheFolder ?? cacheFolder(), onProgress: options.onProgress, signal: options.signal },
      options.threads,
    );
  }

  /** The places of this model that can be read and edited. */
  get sites(): SiteTable {
    return this.#sessions.sites;
  }

  /** Number of parameters, and the checkpoint's dtypes. */
  get parameters(): { readonly count: number; readonly dtypes: readonly string[] } {
    const entries = [...this.#checkpoint.weights.entries.values()];
    const count = entries.reduce((sum, entry) => sum + elementCount(entry.shape), 0);
    return { count, dtypes: [...new Set(entries.map((entry) => entry.dtype))].sort() };
  }

  /** Token ids of a prompt. Throws `prompt-invalid`, `tokenizer-missing`, `chat-template`. */
  encode(prompt: Prompt): number[] {
    return promptIds(prompt, this);
  }

  /** Greedy unless a temperature is given. One prompt gives one generation, a list of prompts (a batch) a list. */
  generate<P extends Prompt | readonly Prompt[]>(
    input: P,
    options: GenerateOptions = {},
  ): GenerationStream<GenerationOf<P>> {
    checkKeys("generate's options", options, generateOptionNames, "generation-invalid");
    return streamOf(input, (rows) =>
      generateRows(
        this,
        rows.map((row) => this.encode(row)),
        options,
      ),
    );
  }

  /** A session that can serve the points, until its `done` is called. The first one prepares the weights. */
  lease(points: readonly Point[]): Promise<Lease> {
    return this.#sessions.lease(points);
  }

  /** Prepares weights and a session now rather than at the first run. */
  async warmUp(points: readonly Point[] = []): Promise<void> {
    (await this.lease(points)).done();
  }

  /** Frees the sessions. Using the model afterwards throws `released`. */
  release(): Promise<void> {
    return this.#sessions.release();
  }
}
