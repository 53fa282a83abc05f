/** What a handler gives back: a status, headers and a body that is not yet sent. */
import type { Readable } from "node:stream";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A stream must come with a `content-length` header. It is opened only when it is needed: a HEAD request has no body. */
  readonly body: Uint8Array | (() => Readable) | undefined;
}

export type AnswerHeaders = Readonly<Record<string, string>>;

const encoder = new TextEncoder();

export function json(value: unknown, status = 200, headers: AnswerHeaders = {}): Answer {
  return text(JSON.stringify(value), "application/json; charset=utf-8", status, headers);
}

export function text(content: string, contentType: string, status = 200, headers: AnswerHeaders = {}): Answer {
  return bytes(encoder.encode(content), { "content-type": contentType, ...headers }, status);
}

export function bytes(content: Uint8Array, headers: AnswerHeaders = {}, status = 200): Answer {
  return { status, headers: { ...headers, "content-length": String(content.length) }, body: content };
}

export function empty(status = 200, headers: AnswerHeaders = {}): Answer {
  return { status, headers: { "content-length": "0", ...headers }, body: undefined };
}
