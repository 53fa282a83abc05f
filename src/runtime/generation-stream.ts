/** What generate returns: await it for the whole answer, or iterate it for the pieces as they come. */
import { VeneError } from "../base/errors.ts";
import { isSinglePrompt, type Prompt } from "./prompts.ts";
import type { SamplingOptions } from "./sampling.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Default 64. */
  readonly maxNewTokens?: number | undefined;
  /** Texts that end a row; they are not part of the answer. Needs a tokenizer. */
  readonly stop?: readonly string[] | undefined;
  /** Tokens that end a row in place of the model's own; [] = none. */
  readonly eosTokenIds?: readonly number[] | undefined;
  /** Checked between tokens. */
  readonly signal?: AbortSignal | undefined;
}

export const generateOptionNames = [
  "maxNewTokens",
  "stop",
  "eosTokenIds",
  "signal",
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "seed",
] as const satisfies readonly (keyof GenerateOptions)[];

export type FinishReason = "eos" | "stop" | "length";

export interface Generation {
  /** The answer, special tokens left out; "" without a tokenizer. */
  readonly text: string;
  /** New token ids, the ending token included. */
  readonly tokens: readonly number[];
  /** eos: an end token; stop: a stop string; length: maxNewTokens or the model's context is used up. */
  readonly finishReason: FinishReason;
  readonly promptTokens: readonly number[];
  /** Milliseconds: until the prompt was read, and for the tokens after the first. */
  readonly timings: { readonly promptMs: number; readonly decodeMs: number };
  /** Collected activations by intervention key, in order of the tokens; absent when nothing collects. */
  readonly collected?: ReadonlyMap<string, readonly CollectedRow[]>;
}

/** One token's activation at a collecting site. */
export interface CollectedRow {
  /** 0-based among the row's real tokens, prompt and generated alike. */
  readonly position: number;
  /** The features collected; with units h and h.pos those of each head, one after the other. */
  readonly values: Float32Array;
}

/** One new token of one row. */
export interface GenerationPiece {
  /** Row of the batch; 0 for a single prompt. */
  readonly row: number;
  readonly token: number;
  /** Text that became certain with this token; "" while a character or a possible stop string is incomplete. */
  readonly text: string;
}

/**
 * Starts when first awaited or iterated, and runs once: iterating and then awaiting gives the pieces, then the result.
 * Breaking out of the iteration stops the work.
 */
export class GenerationStream<T> implements Promise<T>, AsyncIterable<GenerationPiece> {
  readonly [Symbol.toStringTag] = "GenerationStream";
  readonly #start: () => AsyncGenerator<GenerationPiece, readonly Generation[]>;
  readonly #shape: (generations: readonly Generation[]) => T;
  readonly #done: Promise<T>;
  #settle: { resolve: (value: T) => void; reject: (reason: unknown) => void } | undefined;
  #started = false;

  constructor(
    start: () => AsyncGenerator<GenerationPiece, readonly Generation[]>,
    shape: (generations: readonly Generation[]) => T,
  ) {
    this.#start = start;
    this.#shape = shape;
    this.#done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#done.catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationPiece, void> {
    if (this.#started) {
      throw new VeneError("usage", "this generation was iterated or awaited before: it runs once", {
        hint: "iterate first and then await, or call generate again",
      });
    }
    this.#started = true;
    try {
      this.#settle?.resolve(this.#shape(yield* this.#start()));
    } catch (error) {
      this.#settle?.reject(error);
      throw error;
    } finally {
      this.#settle?.reject(new VeneError("aborted", "the iteration over the generation was broken off"));
    }
  }

  /** Runs to the end if it is not running yet. */
  // biome-ignore lint/suspicious/noThenProperty: being awaitable is the point
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#started) void this.#drain();
    return this.#done.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.then().finally(onFinally);
  }

  async #drain(): Promise<void> {
    try {
      for await (const _ of this);
    } catch {
      // the error reaches whoever awaits the result
    }
  }
}

type Rows = AsyncGenerator<GenerationPiece, readonly Generation[]>;

/** One prompt gives one generation, a list of prompts a list. */
export type GenerationOf<P extends Prompt | readonly Prompt[]> = P extends Prompt ? Generation : Generation[];

/** The stream that generate returns for an input, given how its rows are generated. */
export function streamOf<P extends Prompt | readonly Prompt[]>(
  input: P,
  start: (rows: readonly Prompt[]) => Rows,
): GenerationStream<GenerationOf<P>> {
  const single = isSinglePrompt(input);
  const rows: readonly Prompt[] = single ? [input] : (input as readonly Prompt[]);
  const shape = (generations: readonly Generation[]) => (single ? generations[0]! : [...generations]);
  return new GenerationStream(
    () => start(rows),
    (generations) => shape(generations) as GenerationOf<P>,
  );
}
