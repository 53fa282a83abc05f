/** Answers on their way out: headers that all have, bodies, and what errors look like. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { systemCodeOf } from "../../base/errors.ts";
import { type Answer, json } from "./answer.ts";
import { HttpError } from "./http-error.ts";

/** Users' files are served from the same origin as the pages: a browser must neither run nor frame nor guess at them. */
const always = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
} as const;

/** Sends an answer; resolves when it is out or the client is gone. */
export async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const unread = request.complete ? {} : { connection: "close" };
  response.writeHead(answer.status, { ...always, ...unread, ...answer.headers });
  if (answer.body === undefined || request.method === "HEAD") {
    response.end();
    return;
  }
  if (typeof answer.body !== "function") {
    response.end(answer.body);
    return;
  }
  await pipeline(answer.body(), response).catch(() => response.destroy());
}

/** What an error becomes. Faults of the server say nothing about its inside. */
export function errorAnswer(thrown: unknown, requestId: string): Answer {
  const error = asHttpError(thrown, requestId);
  return json({ error: error.message, ...error.fields }, error.status, {
    ...(error.errorCode !== undefined && { "x-error-code": error.errorCode }),
    "x-error-message": error.message.replace(/[^ -~]/g, "?").slice(0, 1000),
    ...error.headers,
  });
}

const fullDisk = new Set(["ENOSPC", "EDQUOT", "EROFS"]);

export function asHttpError(thrown: unknown, requestId: string): HttpError {
  if (thrown instanceof HttpError) return thrown;
  if (fullDisk.has(systemCodeOf(thrown) ?? "")) return new HttpError(507, "the server's disk is full or read-only");
  return new HttpError(500, `internal error, request ${requestId}`);
}

const DISCARD_BYTES = 16 << 20;
const DISCARD_MS = 3000;

/** Takes in what a client is still sending, within bounds: most read no answer before they have sent everything. */
export async function discardBody(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return;
  await new Promise<void>((resolve) => {
    let left = DISCARD_BYTES;
    const timer = setTimeout(done, DISCARD_MS);
    const onData = (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) done();
    };
    function done() {
      clearTimeout(timer);
      request.off("data", onData).pause();
      resolve();
    }
    request.on("data", onData).once("end", done).once("close", done).once("error", done);
  });
}
