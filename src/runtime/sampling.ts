/** From logits to the next token: greedy, or temperature with top-k, top-p and min-p, in transformers' order. */
import { VeneError } from "../base/errors.ts";
import { type Random, seededRandom } from "../base/rng.ts";

export interface SamplingOptions {
  /** 0 or absent: greedy. */
  readonly temperature?: number | undefined;
  /** Keep the k likeliest tokens; 0: all. */
  readonly topK?: number | undefined;
  /** Keep the likeliest tokens until their probabilities reach this sum (nucleus sampling, Holtzman et al. 2020). */
  readonly topP?: number | undefined;
  /** Keep tokens at least this fraction as likely as the likeliest. */
  readonly minP?: number | undefined;
  /** > 1 makes tokens of prompt and answer less likely (Keskar et al. 2019). */
  readonly repetitionPenalty?: number | undefined;
  /** Same seed, same tokens. */
  readonly seed?: number | undefined;
}

/** Picks a token; `seen` gives the row's tokens so far. */
export type Sampler = (logits: Float32Array, seen: () => readonly number[]) => number;

/** Throws `generation-invalid` naming the option. */
export function checkSampling(options: SamplingOptions): void {
  const rules: readonly (readonly [keyof SamplingOptions, string, (value: number) => boolean])[] = [
    ["temperature", "0 or more", (value) => value >= 0],
    ["topK", "a whole number, 0 or more", (value) => value >= 0 && Number.isInteger(value)],
    ["topP", "above 0 and at most 1", (value) => value > 0 && value <= 1],
    ["minP", "from 0 to 1", (value) => value >= 0 && value <= 1],
    ["repetitionPenalty", "above 0", (value) => value > 0],
    ["seed", "a whole number, 0 or more", (value) => value >= 0 && Number.isSafeInteger(value)],
  ];
  for (const [name, expected, holds] of rules) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && holds(value))) {
      throw new VeneError("generation-invalid", `${name} is ${value}, it must be ${expected}`, {
        details: { name, value },
      });
    }
  }
}

/**
 * A sampler for one row. Rows of a batch get the same seed, so that a row does not depend on its mates. It throws
 * `runtime-failed` for logits that are not finite.
 */
export function createSampler(options: SamplingOptions): Sampler {
  const random = seededRandom(options.seed ?? Math.floor(Math.random() * 2 ** 48));
  const penalty = options.repetitionPenalty ?? 1;
  const greedy = (options.temperature ?? 0) === 0;
  return (logits, seen) => {
    const scores = penalty === 1 ? logits : penalised(logits, seen(), penalty);
    const best = argmax(scores);
    if (!Number.isFinite(scores[best])) throw notFinite(scores[best]!);
    return greedy ? best : draw(scores, scores[best]!, options, random);
  };
}

function notFinite(value: number): VeneError {
  return new VeneError("runtime-failed", `the likeliest token's logit is ${value}`, {
    hint: "an intervention drove the numbers beyond float32: lower its strength; without one the checkpoint is damaged",
  });
}

/** Index of the largest value; the lowest of equals, as torch picks. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

function penalised(logits: Float32Array, seen: readonly number[], penalty: number): Float32Array {
  const out = logits.slice();
  for (const id of new Set(seen)) out[id] = out[id]! > 0 ? out[id]! / penalty : out[id]! * penalty;
  return out;
}

/** Tokens e^-30 times as likely as the likeliest are never drawn; leaving them out early makes sorting cheap. */
const NEGLIGIBLE = 30;

function draw(logits: Float32Array, top: number, options: SamplingOptions, random: Random): number {
  const temperature = options.temperature!;
  const topK = options.topK ?? 0;
  const floor = top - NEGLIGIBLE * temperature;
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id]! >= floor) ids.push(id);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const candidates = topK > 0 ? ids.slice(0, topK) : ids;
  const weights = candidates.map((id) => Math.exp((logits[id]! - top) / temperature));
  const kept = nucleus(weights, options.topP ?? 1).filter((weight) => weight >= (options.minP ?? 0));
  let left = random.uniform() * kept.reduce((sum, weight) => sum + weight, 0);
  const chosen = kept.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return candidates[chosen < 0 ? kept.length - 1 : chosen]!;
}

/** The leading weights (descending) whose share of the sum first reaches topP. */
function nucleus(weights: readonly number[], topP: number): readonly number[] {
  if (topP >= 1) return weights;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let reached = 0;
  const last = weights.findIndex((weight) => {
    reached += weight;
    return reached >= topP * total;
  });
  return weights.slice(0, last < 0 ? weights.length : last + 1);
}
