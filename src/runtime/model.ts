/** A base model ready to run: loadModel, and what everything else asks of a model. */
import { basename, resolve } from "node:path";
import type { ModelShape } from "../arch/family.ts";
import { checkModelDType, type ModelDType } from "../arch/quantised-dtypes.ts";
import type { SiteTable } from "../arch/sites.ts";
import { throwIfAborted } from "../base/abort.ts";
import type { Sha256 } from "../base/brands.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { ProgressListener } from "../base/progress.ts";
import type { HubOptions } from "../hub/environment.ts";
import { locateModel } from "../hub/locate.ts";
import type { Pulled } from "../hub/pull.ts";
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
import { openBase } from "./open-base.ts";
import type { OpenedBase } from "./opened-base.ts";
import { type Prompt, promptIds } from "./prompts.ts";
import { Tokenizer } from "./tokenizer.ts";

export interface LoadModelOptions {
  /** Of a Hub id: branch, tag, refs/pr/n or commit. Default "main". */
  readonly revision?: string;
  /** Which Hub, as whom, and where downloads are kept. Default: HF_ENDPOINT, HF_TOKEN, HF_HOME. */
  readonly hub?: HubOptions;
  /** What saved interventions record as their base: a Hub id. Default: the id it was pulled by, the config's _name_or_path if it is an id, else the folder's name. */
  readonly name?: string;
  /**
   * What the weights of Linear layers are: "fp32" (default), or "q8" or "q4", 8 or 4 bits in blocks of 32, made of the
   * checkpoint's once. Those answer faster and take less memory, at some loss: see `perplexity`.
   */
  readonly dtype?: ModelDType;
  /** Threads inside an op; default: one per core. */
  readonly threads?: number;
  /** Where converted weights are kept; default: VENE_CACHE, XDG_CACHE_HOME/vene or ~/.cache/vene. */
  readonly cacheFolder?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Opens a Hugging Face checkpoint (config.json, *.safetensors, tokenizer.json): a folder, or "org/name" or "org/name@revision"
 * on the Hub, which is pulled first. Reads headers only; weights are prepared when first run. Throws `checkpoint-invalid`,
 * `architecture-unknown`, `config-unsupported`, `weights-missing`, `safetensors-invalid`, `tokenizer-missing`, `usage`, `hub-*`.
 *
 * Or an .onnx file that others exported, or a folder without safetensors that has one (model.onnx, onnx/model.onnx): a decoder
 * with input_ids, logits and past_key_values.N.key/value is used like a checkpoint; any other graph takes
 * `{ tensors: { <input>: Tensor } }` in forward and collect. Throws `onnx-invalid`, `onnx-unsupported`, `runtime-failed`.
 */
export async function loadModel(source: string, options: LoadModelOptions = {}): Promise<Model> {
  const { revision, hub, signal, onProgress, dtype = "fp32" } = options;
  checkModelDType(dtype);
  const { folder, pulled } = await locateModel(source, { revision, hub, signal, onProgress });
  const copies = options.cacheFolder ?? cacheFolder();
  const base = await openBase(folder, { dtype, cacheFolder: copies, onProgress, signal });
  const tokenizer = await Tokenizer.open(base.folder);
  const chatTemplate = tokenizer === undefined ? undefined : await openChatTemplate(base.folder, tokenizer);
  throwIfAborted(options.signal);
  return new Model(base, { tokenizer, chatTemplate, pulled }, options);
}

/** "name" or "organisation/name", as the Hub has it. Paths of somebody's machine are nobody's business. */
const hubId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$/;

/** The config's name where it is a Hub id, else the folder's. */
function nameOf({ config, folder }: OpenedBase): string {
  const name = config?.has("_name_or_path") ? config.string("_name_or_path") : "";
  return hubId.test(name) ? name : basename(resolve(folder));
}

interface Opened {
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly pulled: Pulled | undefined;
}

export class Model {
  /** Folder it was loaded from, and the name made of it. */
  readonly folder: string;
  readonly name: string;
  /** Commit it was pulled at: 40 hex digits. Undefined for a folder of the user's own. */
  readonly revision: string | undefined;
  /** What is worth knowing about how it was loaded, for people. */
  readonly notices: readonly string[];
  /** model_type of config.json. */
  readonly architecture: string;
  readonly shape: ModelShape;
  /** What its Linear layers compute with; the checkpoint's own dtypes are in `parameters`. */
  readonly dtype: ModelDType;
  /** Tells this checkpoint from others of the same shape: see `fingerprintOf`. */
  readonly fingerprint: Sha256;
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
  /** Generation ends at these tokens. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly #base: OpenedBase;
  readonly #sessions: ModelSessions;

  constructor(base: OpenedBase, opened: Opened, options: LoadModelOptions) {
    const { config, generation } = base;
    this.folder = base.folder;
    this.name = options.name ?? opened.pulled?.repo ?? nameOf(base);
    this.revision = opened.pulled?.commit;
    this.notices = opened.pulled?.notices ?? [];
    this.architecture = base.architecture;
    this.shape = base.shape;
    this.dtype = options.dtype ?? "fp32";
    this.fingerprint = base.fingerprint;
    this.tokenizer = opened.tokenizer;
    this.chatTemplate = opened.chatTemplate;
    this.eosTokenIds = (generation?.has("eos_token_id") ? generation : config)?.ids("eos_token_id") ?? [];
    const pad = config?.ids("pad_token_id")[0] ?? this.eosTokenIds[0] ?? 0;
    // What padding consists of never matters, but it must be a row of the embedding.
    this.padTokenId = pad < this.shape.vocabularySize ? pad : 0;
    this.#base = base;
    this.#sessions = new ModelSessions(base.graphs, { threads: options.threads, onProgress: options.onProgress });
  }

  /** The places of this model that can be read and edited. */
  get sites(): SiteTable {
    return this.#base.graphs.sites;
  }

  /** Number of parameters, and the dtypes they are stored in. */
  get parameters(): OpenedBase["parameters"] {
    return this.#base.parameters;
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
