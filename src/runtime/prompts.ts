/** The forms a prompt may take, told apart and turned into token ids. */
import { VeneError } from "../base/errors.ts";
import type { ChatMessage, ChatTemplate } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** One prompt: text, chat messages, or token ids. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

export interface PromptReader {
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
}

function isMessage(value: unknown): value is ChatMessage {
  const message = value as { role?: unknown; content?: unknown } | null;
  return typeof message === "object" && typeof message?.role === "string" && typeof message.content === "string";
}

/** Whether this is one prompt rather than a list of them. An empty list counts as one empty prompt. */
export function isSinglePrompt(input: Prompt | readonly Prompt[]): input is Prompt {
  if (typeof input === "string" || !Array.isArray(input)) return true;
  const first: unknown = input[0];
  return first === undefined || typeof first === "number" || isMessage(first);
}

/** Throws `prompt-invalid`, `tokenizer-missing` (text without a tokenizer), `chat-template`. */
export function promptIds(prompt: Prompt, reader: PromptReader): number[] {
  if (typeof prompt === "string") return needTokenizer(reader).encode(prompt);
  if (!Array.isArray(prompt)) throw notAPrompt();
  if (prompt.every((item): item is number => typeof item === "number")) return [...prompt];
  if (!prompt.every(isMessage)) throw notAPrompt();
  const { chatTemplate } = reader;
  if (chatTemplate === undefined) {
    throw new VeneError("chat-template", "the model has no chat template", { hint: "give a plain prompt" });
  }
  return needTokenizer(reader).encode(chatTemplate(prompt), false);
}

function notAPrompt(): VeneError {
  return new VeneError("prompt-invalid", "a prompt is neither text, nor token ids, nor messages with role and content");
}

function needTokenizer(reader: PromptReader): Tokenizer {
  if (reader.tokenizer !== undefined) return reader.tokenizer;
  throw new VeneError("tokenizer-missing", "text was given, but the model folder has no tokenizer.json", {
    hint: "add tokenizer.json to the folder, or give token ids",
  });
}
