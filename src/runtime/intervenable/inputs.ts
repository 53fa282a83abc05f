/** The forms that forward takes base and sources in, as a batch. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import type { Model } from "../model.ts";
import { leftPadded, type PromptBatch, rectangular } from "../prompt-batch.ts";
import { isSinglePrompt, type Prompt } from "../prompts.ts";

/** Token ids with a mask, as a tokenizer of transformers returns them: int64 tensors or rows of numbers, [batch, positions]. */
export interface TokenBatch {
  readonly inputIds: Tensor | readonly (readonly number[])[];
  /** 1 for real tokens, 0 for padding. */
  readonly attentionMask?: Tensor | readonly (readonly number[])[];
}

export type BatchInput = Prompt | readonly Prompt[] | Tensor | TokenBatch;

function isTokenBatch(input: BatchInput): input is TokenBatch {
  return typeof input === "object" && input !== null && "inputIds" in input;
}

/** Ragged prompts are padded on the left; a TokenBatch keeps its own layout. Throws `prompt-invalid` and what encoding throws. */
export function batchOf(model: Model, input: BatchInput): PromptBatch {
  const { vocabularySize, contextLength } = model.shape;
  const batch = layOut(model, input, vocabularySize);
  const longest = Math.max(...batch.columnsOf.map((columns) => columns.length));
  if (longest <= contextLength) return batch;
  throw new VeneError("context-length", `the input has ${longest} tokens, the model was made for ${contextLength}`, {
    details: { tokens: longest, contextLength },
  });
}

function layOut(model: Model, input: BatchInput, vocabulary: number): PromptBatch {
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
