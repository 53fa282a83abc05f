/** How well a model predicts a text: perplexity by a sliding window, the measure of what quantising costs. */
import { throwIfAborted } from "../base/abort.ts";
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { ProgressListener } from "../base/progress.ts";
import type { Model } from "./model.ts";
import type { Lease } from "./model-sessions.ts";
import { idsBetween, leftPadded } from "./prompt-batch.ts";
import type { Prompt } from "./prompts.ts";
import { TokenRun } from "./token-run.ts";

export interface PerplexityOptions {
  /** Tokens that the model sees at once; default: its context length, at most 1024. */
  readonly window?: number;
  /** Tokens by which the window moves; default: half of the window. */
  readonly stride?: number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

export interface Perplexity {
  /** exp(-sum of ln p(token | tokens before it in its window) / scored) */
  readonly perplexity: number;
  /** Tokens of the text, and those among them that were predicted: all but the first. */
  readonly tokens: number;
  readonly scored: number;
  readonly window: number;
  readonly stride: number;
}

const optionNames = [
  "window",
  "stride",
  "onProgress",
  "signal",
] as const satisfies readonly (keyof PerplexityOptions)[];

const USUAL_WINDOW = 1024;

/** Numbers of logits held at a time: 32 MB. */
const MAX_LOGITS = 1 << 23;

/**
 * The perplexity of a text under the model. Windows of `window` tokens start every `stride` tokens; each scores the tokens
 * that those before it did not reach, so that every token but the first is scored once, from the second window on with at
 * least window - stride tokens before it (as Hugging Face's documentation does for models of fixed length).
 * Throws `prompt-invalid` for fewer than two tokens, `generation-unsupported` for encoders, `context-length`, `usage`,
 * `runtime-failed`, `aborted`.
 */
export async function perplexity(model: Model, text: Prompt, options: PerplexityOptions = {}): Promise<Perplexity> {
  checkKeys("perplexity's options", options, optionNames, "usage");
  if (model.shape.encoder) {
    throw new VeneError("generation-unsupported", `${model.architecture} is an encoder: it predicts no next token`, {
      hint: "perplexity is a measure of decoders",
      details: { architecture: model.architecture },
    });
  }
  const { window, stride } = sizesOf(model, options);
  const ids = model.encode(text);
  const scored = ids.length - 1;
  if (scored < 1) {
    throw new VeneError("prompt-invalid", `the text has ${ids.length} tokens: there is none to predict`, {
      hint: "give a text of two tokens and more",
    });
  }
  const lease = await model.lease([]);
  try {
    let nats = 0;
    let done = 0;
    for (let start = 0; done < scored; start += stride) {
      const seen = ids.slice(start, start + window);
      nats += await surprise(model, lease, seen, done + 1 - start, options.signal);
      done = start + seen.length - 1;
      options.onProgress?.({ phase: "scoring", done, total: scored, unit: "tokens" });
    }
    return { perplexity: Math.exp(nats / scored), tokens: ids.length, scored, window, stride };
  } finally {
    lease.done();
  }
}

function sizesOf(model: Model, options: PerplexityOptions): { readonly window: number; readonly stride: number } {
  const { contextLength } = model.shape;
  const { window = Math.min(USUAL_WINDOW, contextLength) } = options;
  const { stride = Math.floor(window / 2) } = options;
  const sound = Number.isInteger(window) && Number.isInteger(stride) && stride >= 1 && stride < window;
  if (!sound) {
    throw new VeneError("usage", `a window of ${window} tokens cannot move by ${stride}`, {
      hint: "give whole numbers: a window of 2 and more, and a stride of 1 up to the window less 1",
      details: { window, stride },
    });
  }
  if (window <= contextLength) return { window, stride };
  throw new VeneError("context-length", `a window of ${window} tokens is more than the model's ${contextLength}`, {
    details: { window, contextLength },
  });
}

/** -ln p of the tokens from `first` on, added up, each given all those before it in `ids`. */
async function surprise(
  model: Model,
  lease: Lease,
  ids: readonly number[],
  first: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { vocabularySize } = model.shape;
  const batch = leftPadded([ids], model.padTokenId, vocabularySize);
  const run = new TokenRun(lease, model.shape, batch);
  const most = Math.max(1, Math.floor(MAX_LOGITS / vocabularySize));
  let nats = 0;
  // What only gives context comes in one step, whose last token predicts the first that counts.
  for (let from = 0, to = first; from < ids.length - 1; from = to, to = Math.min(from + most, ids.length - 1)) {
    throwIfAborted(signal);
    const scoring = from === 0 ? [to - 1] : Array.from({ length: to - from }, (_, i) => from + i);
    const step = { ids: idsBetween(batch, from, to), logitRows: scoring.map((column) => column - from), edits: [] };
    const { logits } = await run.step(step);
    scoring.forEach((column, row) => {
      nats += surpriseOf(logits.data.subarray(row * vocabularySize, (row + 1) * vocabularySize), ids[column + 1]!);
    });
  }
  if (Number.isFinite(nats)) return nats;
  throw new VeneError("runtime-failed", "the model's logits are not finite numbers", {
    hint: "its numbers overflowed: is the checkpoint damaged?",
  });
}

/** -ln softmax(logits)[id] */
function surpriseOf(logits: Float32Array, id: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum) - logits[id]!;
}
