/** The forms that forward takes base and sources in, as a batch. */
import type { Place } from "../../arch/sites.ts";
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import type { Model } from "../model.ts";
import { leftPadded, type PromptBatch, rectangular } from "../prompt-batch.ts";
import { isSinglePrompt, type Prompt } from "../prompts.ts";
import { tensorBatch } from "../tensor-batch.ts";

/** Token ids with a mask, as a tokenizer of transformers returns them: int64 tensors or rows of numbers, [batch, positions]. */
export interface TokenBatch {
  readonly inputIds: Tensor | readonly (readonly number[])[];
  /** 1 for real tokens, 0 for padding. */
  readonly attentionMask?: Tensor | readonly (readonly number[])[];
}

/** Inputs by name of a model that takes tensors; the first axis of each is the batch. */
export interface TensorInputs {
  readonly tensors: Readonly<Record<string, Tensor>>;
}

export type BatchInput = Prompt | readonly Prompt[] | Tensor | TokenBatch | TensorInputs;

function isTensorInputs(input: BatchInput): input is TensorInputs {
  return typeof input === "object" && input !== null && "tensors" in input;
}

function isTokenBatch(input: Exclude<BatchInput, TensorInputs>): input is TokenBatch {
  return typeof input === "object" && input !== null && "inputIds" in input;
}

/**
 * Ragged prompts are padded on the left; a TokenBatch keeps its own layout. `places` say what a position of tensors is. Throws
 * `prompt-invalid` and what encoding throws.
 */
export function batchOf(model: Model, input: BatchInput, places: readonly Place[]): PromptBatch {
  const { vocabularySize, contextLength, tensors } = model.shape;
  if (tensors !== undefined) return tensorBatch(tensors, isTensorInputs(input) ? input.tensors : {}, places);
  if (isTensorInputs(input)) {
    throw new VeneError("prompt-invalid", "tensors were given to a model that takes prompts", {
      hint: "give text, messages, token ids or { inputIds, attentionMask }",
    });
  }
  const batch = layOut(model, input, vocabularySize);
  const longest = Math.max(...batch.columnsOf.map((columns) => columns.length));
  if (longest <= contextLength) return batch;
  throw new VeneError("context-length", `the input has ${longest} tokens, the model was made for ${contextLength}`, {
    details: { tokens: longest, contextLength },
  });
}

function layOut(model: Model, input: Exclude<BatchInput, TensorInputs>, vocabulary: number): PromptBatch {
  if (input instanceof Tensor) return rectangular(rowsOf(input), undefined, vocabulary);
  if (isTokenBatch(input)) {
    const mask = input.attentionMask === undefined ? undefined : rowsOf(input.attentionMask);
    return rectangular(rowsOf(input.inputIds), mask, vocabulary);
  }
  const prompts: readonly Prompt[] = isSinglePrompt(input) ? [input] : input;
  return leftPadded(
    prompts.map((prompt) => model.encode(prompt)),
    model.padTokenId,
    vocabulary,
  );
}

function rowsOf(input: Tensor | readonly (readonly number[])[]): readonly (readonly number[])[] {
  if (!(input instanceof Tensor)) return input;
  const [rows, columns] = input.shape;
  if (input.shape.length !== 2 || rows === undefined || columns === undefined) {
    throw new VeneError("prompt-invalid", `token ids have shape [${input.shape}], expected [batch, positions]`);
  }
  const flat = input.toNumbers();
  return Array.from({ length: rows }, (_, row) => flat.slice(row * columns, (row + 1) * columns));
}
