/** The generation loop: prompt in chunks, then token by token with the KV cache; every row on its own terms. */
import type { ModelShape } from "../arch/family.ts";
import { throwIfAborted } from "../base/abort.ts";
import { VeneError } from "../base/errors.ts";
import type { Point } from "../interventions/points.ts";
import type { CollectedRow, FinishReason, GenerateOptions, Generation, GenerationPiece } from "./generation-stream.ts";
import type { Lease } from "./model-sessions.ts";
import { extended, idsBetween, leftPadded, type PromptBatch } from "./prompt-batch.ts";
import { checkSampling, createSampler, type Sampler } from "./sampling.ts";
import type { Steering, SteeringPlan } from "./steering.ts";
import { TextStream } from "./text-stream.ts";
import { type StepResult, TokenRun } from "./token-run.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens per prompt step over all rows: bounds the memory of a long prompt without slowing it. */
const CHUNK_TOKENS = 1024;
/** Numbers that a step's edits may take in all, which counts for many wide points. */
const CHUNK_EDITS = 1 << 25;
const DEFAULT_NEW_TOKENS = 64;

/** What generation needs of a model. */
export interface GeneratingModel {
  readonly shape: ModelShape;
  readonly tokenizer: Tokenizer | undefined;
  readonly padTokenId: number;
  readonly eosTokenIds: readonly number[];
  lease(points: readonly Point[]): Promise<Lease>;
}

interface Row {
  readonly prompt: readonly number[];
  readonly tokens: number[];
  readonly sample: Sampler;
  readonly stream: TextStream | undefined;
  /** Whatever text the stream let go of. */
  text: string;
  finish: FinishReason | undefined;
}

type Timings = { promptMs: number; decodeMs: number };

/**
 * Generates for rows of token ids, yielding each new token. Throws `prompt-invalid`, `context-length`,
 * `generation-invalid`, `aborted`, and what sessions throw.
 */
export async function* generateRows(
  model: GeneratingModel,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
  steering?: Steering,
): AsyncGenerator<GenerationPiece, readonly Generation[]> {
  const maxNewTokens = checkedLength(model, prompts, options);
  const prompt = leftPadded(prompts, model.padTokenId, model.shape.vocabularySize);
  const layout = extended(prompt, maxNewTokens);
  const rows = prompts.map((ids) => createRow(model, ids, options));
  const lease = await model.lease(steering?.points ?? []);
  try {
    const plan = steering?.plan(layout, prompt.columns, lease.indices);
    const run = new TokenRun(lease, model.shape, layout);
    const timings: Timings = { promptMs: 0, decodeMs: 0 };
    let last = await timed(timings, "promptMs", () => readPrompt(run, prompt, plan, options.signal));
    for (let made = 1; ; made++) {
      yield* takeTokens(rows, last, ends(model, options), made === maxNewTokens);
      if (rows.every((row) => row.finish !== undefined)) break;
      throwIfAborted(options.signal);
      const ids = Int32Array.from(rows, (row) => row.tokens[made - 1] ?? model.padTokenId);
      last = await timed(timings, "decodeMs", () => stepOnce(run, ids, rows.length, plan));
    }
    return rows.map((row, index) => resultOf(row, timings, plan?.collected(index)));
  } finally {
    lease.done();
  }
}

function checkedLength(
  model: GeneratingModel,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): number {
  if (model.shape.encoder === true) {
    throw new VeneError(
      "generation-unsupported",
      "the model is an encoder, whose tokens look both ways: it cannot generate",
      {
        hint: "use forward and collect",
      },
    );
  }
  checkSampling(options);
  checkList("stop", "a list of texts", options.stop, (item) => typeof item === "string");
  checkList("eosTokenIds", "a list of token ids", options.eosTokenIds, Number.isSafeInteger);
  const wanted = options.maxNewTokens ?? DEFAULT_NEW_TOKENS;
  if (!Number.isSafeInteger(wanted) || wanted < 1) {
    throw new VeneError("generation-invalid", `maxNewTokens is ${wanted}, it must be a whole number above 0`);
  }
  const longest = Math.max(0, ...prompts.map((ids) => ids.length));
  const room = model.shape.contextLength - longest;
  if (room < 1) {
    throw new VeneError(
      "context-length",
      `the prompt has ${longest} tokens, the model was made for ${model.shape.contextLength}`,
      {
        hint: "shorten the prompt, or use a model with a longer context",
        details: { promptTokens: longest, contextLength: model.shape.contextLength },
      },
    );
  }
  return Math.min(wanted, room);
}

function checkList(
  name: "stop" | "eosTokenIds",
  expected: string,
  list: unknown,
  holds: (item: unknown) => boolean,
): void {
  if (list === undefined || (Array.isArray(list) && list.every(holds))) return;
  throw new VeneError("generation-invalid", `${name} is ${JSON.stringify(list)}, it must be ${expected}`, {
    details: { name },
  });
}

function createRow(model: GeneratingModel, prompt: readonly number[], options: GenerateOptions): Row {
  const stops = options.stop ?? [];
  if (stops.length > 0 && model.tokenizer === undefined) {
    throw new VeneError("tokenizer-missing", "stop strings were given, but the model folder has no tokenizer.json");
  }
  const stream = model.tokenizer === undefined ? undefined : new TextStream(model.tokenizer, stops);
  return { prompt, tokens: [], sample: createSampler(options), stream, text: "", finish: undefined };
}

function ends(model: GeneratingModel, options: GenerateOptions): readonly number[] {
  return options.eosTokenIds ?? model.eosTokenIds;
}

async function timed<T>(timings: Timings, key: keyof Timings, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  timings[key] += performance.now() - start;
  return result;
}

async function readPrompt(
  run: TokenRun,
  prompt: PromptBatch,
  plan: SteeringPlan | undefined,
  signal: AbortSignal | undefined,
): Promise<StepResult> {
  const rows = Math.min(CHUNK_TOKENS, Math.floor(CHUNK_EDITS / Math.max(1, run.editWidth)));
  const chunk = plan?.wholePrompt === true ? prompt.columns : Math.max(1, Math.floor(rows / prompt.rows));
  for (;;) {
    throwIfAborted(signal);
    const from = run.done;
    const to = Math.min(prompt.columns, from + chunk);
    const last = to === prompt.columns;
    const result = await stepOnce(run, idsBetween(prompt, from, to), prompt.rows, plan, last);
    if (last) return result;
  }
}

async function stepOnce(
  run: TokenRun,
  ids: Int32Array,
  rows: number,
  plan: SteeringPlan | undefined,
  wantLogits = true,
): Promise<StepResult> {
  const from = run.done;
  const count = ids.length / rows;
  const logitRows = wantLogits ? Array.from({ length: rows }, (_, row) => row * count + count - 1) : [];
  const edits = plan?.edits(from, from + count) ?? [];
  const reads = plan?.reads(from, from + count);
  const result = await run.step({ ids, logitRows, edits, ...(reads === undefined ? {} : { reads }) });
  plan?.keep(from, from + count, result.reads);
  return result;
}

function* takeTokens(
  rows: readonly Row[],
  { logits }: StepResult,
  eos: readonly number[],
  last: boolean,
): Generator<GenerationPiece> {
  const vocabulary = logits.shape[1]!;
  for (const [index, row] of rows.entries()) {
    if (row.finish !== undefined) continue;
    const scores = logits.data.subarray(index * vocabulary, (index + 1) * vocabulary);
    const token = row.sample(scores, () => [...row.prompt, ...row.tokens]);
    row.tokens.push(token);
    const isEnd = eos.includes(token);
    let text = isEnd ? "" : (row.stream?.push(token) ?? "");
    row.finish = isEnd ? "eos" : row.stream?.stopped ? "stop" : last ? "length" : undefined;
    if (row.finish !== undefined) text += row.stream?.end() ?? "";
    row.text += text;
    yield { row: index, token, text };
  }
}

function resultOf(
  row: Row,
  timings: Timings,
  collected: ReadonlyMap<string, readonly CollectedRow[]> | undefined,
): Generation {
  return {
    text: row.text,
    tokens: row.tokens,
    finishReason: row.finish ?? "length",
    promptTokens: row.prompt,
    timings: { ...timings },
    ...(collected === undefined || collected.size === 0 ? {} : { collected }),
  };
}
