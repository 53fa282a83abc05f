/** Every request to a Hub goes through here: timeouts, retries, redirects, the token's origin, offline mode, typed errors. */

import type { Readable } from "node:stream";
import { Readable as NodeReadable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../base/abort.ts";
import { VeneError } from "../base/errors.ts";
import { type JsonValue, parseJson } from "../formats/json.ts";
import { type HubHeaders, networkError, shownUrl, statusError } from "./answers.ts";
import { dispatcherFor } from "./dispatcher.ts";
import type { HubEnvironment } from "./environment.ts";
import { MAX_REDIRECTS, redirectTarget } from "./redirects.ts";

export interface HubRequest {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH";
  /** Absolute, or a path below the endpoint: "/api/models/org/name". */
  readonly url: string;
  /** What is wanted, for messages: "the files of org/name". */
  readonly what: string;
  readonly headers?: HubHeaders;
  /** A Blob (of a file: `openAsBlob`) is streamed and can be sent again; a stream is sent once. */
  readonly body?: string | Uint8Array | Blob | ReadableStream | undefined;
  /** Whether it may be sent again after a failure. Default: GET and HEAD may. */
  readonly repeatable?: boolean;
  /** Statuses besides 2xx that are handed back rather than thrown: 404, 416. */
  readonly accept?: readonly number[];
  /** Longest wait for the answer's headers, where the environment's is too short (commits of many files). */
  readonly headersTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HubResponse {
  readonly status: number;
  readonly headers: HubHeaders;
  /** The URL that answered, after redirects. */
  readonly url: URL;
  /** Headers of the first answer, where a redirect was followed: the Hub's own, as the storage's differ. */
  readonly first: HubHeaders;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
}

/** Longest refusal that is read for its message. */
const MAX_REFUSAL_BYTES = 64 * 1024;
/** Longest JSON answer unless told. */
const MAX_JSON_BYTES = 32 * 1024 * 1024;

/**
 * Sends a request. Throws `hub-offline` in offline mode, `hub-unreachable` after the last try, `hub-unauthorized`,
 * `hub-not-found`, `hub-conflict` and `hub-rejected` for what the server says, `aborted` for the signal.
 */
export async function hubRequest(environment: HubEnvironment, request: HubRequest): Promise<HubResponse> {
  const url = absolute(environment, request);
  const method = request.method ?? "GET";
  const repeatable =
    (request.repeatable ?? (method === "GET" || method === "HEAD")) && !(request.body instanceof ReadableStreamClass);
  for (let attempt = 1; ; attempt++) {
    try {
      return await followed(environment, request, url);
    } catch (thrown) {
      if (!repeatable || !(await pauseBeforeRetry(environment, thrown, attempt, request.signal))) throw thrown;
    }
  }
}

const ReadableStreamClass = globalThis.ReadableStream;

/** A request whose answer is JSON, strictly read. Throws `hub-rejected` for a long, encoded or malformed body. */
export async function hubJson(
  environment: HubEnvironment,
  request: HubRequest,
  limit: number = MAX_JSON_BYTES,
): Promise<{ value: JsonValue; headers: HubHeaders; status: number; url: URL }> {
  const repeatable = request.repeatable ?? (request.method ?? "GET") === "GET";
  for (let attempt = 1; ; attempt++) {
    const { body, headers, status, url } = await hubRequest(environment, request);
    try {
      const bytes = await readBody(body, headers, url, limit, request);
      return { value: readJson(bytes, url, request.what), headers, status, url };
    } catch (thrown) {
      if (!repeatable || !(await pauseBeforeRetry(environment, thrown, attempt, request.signal))) throw thrown;
    }
  }
}

/**
 * Whether a failure is worth another try; if so, after the pause that the server asks for or that doubles each time. False for
 * refusals, for servers nobody answers at, after the last try, and where the server wants a longer pause than we wait.
 */
export async function pauseBeforeRetry(
  environment: HubEnvironment,
  thrown: unknown,
  attempt: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (!(thrown instanceof VeneError) || thrown.code !== "hub-unreachable") return false;
  if (attempt >= environment.tries || thrown.details["noConnection"] === true) return false;
  const asked = thrown.details["waitMs"];
  const own = environment.retryDelayMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
  const wait = typeof asked === "number" ? asked : own;
  if (wait > environment.longestWaitMs) return false;
  await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  throwIfAborted(signal);
  return true;
}

function absolute(environment: HubEnvironment, { url, what }: HubRequest): URL {
  const full = url.startsWith("/") ? environment.endpoint + url : url;
  if (!URL.canParse(full)) throw new VeneError("hub-usage", `${what}: ${JSON.stringify(url)} is no URL`);
  return new URL(full);
}

/** One try: the request and the redirects it meets. */
async function followed(environment: HubEnvironment, request: HubRequest, start: URL): Promise<HubResponse> {
  let first: HubHeaders | undefined;
  let url = start;
  for (let hops = 0; ; hops++) {
    const answer = await exchange(environment, request, url);
    if ((answer.status >= 200 && answer.status < 300) || request.accept?.includes(answer.status)) {
      return { ...answer, url, first: first ?? answer.headers };
    }
    const method = request.method ?? "GET";
    if (
      answer.status < 300 ||
      answer.status >= 400 ||
      answer.status === 304 ||
      (method !== "GET" && method !== "HEAD")
    ) {
      throw statusError(environment, request.what, { ...answer, url, text: await beginningOf(answer.body) });
    }
    answer.body.destroy();
    if (hops === MAX_REDIRECTS) {
      throw new VeneError("hub-rejected", `${request.what}: more than ${MAX_REDIRECTS} redirects`, {
        details: { url: shownUrl(start) },
      });
    }
    first ??= answer.headers;
    url = redirectTarget(url, answer.headers["location"]);
  }
}

async function exchange(environment: HubEnvironment, request: HubRequest, url: URL) {
  const { signal, what } = request;
  throwIfAborted(signal);
  if (environment.offline) {
    throw new VeneError("hub-offline", `${what}: offline mode is on`, {
      hint: "unset HF_HUB_OFFLINE to allow requests",
      details: { url: shownUrl(url) },
    });
  }
  const { request: send } = await import("undici");
  try {
    const { statusCode, headers, body } = await send(url, {
      dispatcher: await dispatcherFor(environment),
      method: request.method ?? "GET",
      headers: headersFor(environment, request, url),
      body: bodyOf(request.body),
      ...(request.headersTimeoutMs === undefined ? {} : { headersTimeout: request.headersTimeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    });
    // A body that fails while nobody listens yet must not end the process; who reads it gets the error.
    body.on("error", () => undefined);
    return { status: statusCode, headers: flat(headers), body: body as Readable };
  } catch (thrown) {
    throw networkError(what, url, thrown, signal);
  }
}

/** The token goes to the endpoint's own origin and nowhere else. */
function headersFor(environment: HubEnvironment, request: HubRequest, url: URL): Record<string, string> {
  const { token, endpoint } = environment;
  const headers: Record<string, string> = { "accept-encoding": "identity", "user-agent": "vene", ...request.headers };
  delete headers["authorization"];
  if (token !== undefined && url.origin === new URL(endpoint).origin) headers["authorization"] = `Bearer ${token}`;
  if (request.body instanceof Blob) headers["content-length"] = String(request.body.size);
  return headers;
}

function bodyOf(body: HubRequest["body"]): string | Uint8Array | Readable | null {
  if (body === undefined) return null;
  if (body instanceof Blob) return NodeReadable.fromWeb(body.stream() as ReadableStream);
  return body instanceof ReadableStreamClass ? NodeReadable.fromWeb(body) : (body as string | Uint8Array);
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): HubHeaders {
  const entries = Object.entries(headers).flatMap(([name, value]) => {
    const one = Array.isArray(value) ? value[0] : value;
    return one === undefined ? [] : [[name.toLowerCase(), one] as const];
  });
  return Object.fromEntries(entries);
}

async function beginningOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length >= MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // The status has been seen: the rest of the body only words it.
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function readBody(
  body: Readable,
  headers: HubHeaders,
  url: URL,
  limit: number,
  { what, signal }: HubRequest,
): Promise<Uint8Array> {
  refuseEncoding(headers, url, what);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += (chunk as Buffer).length;
      if (length > limit) break;
      chunks.push(chunk as Buffer);
    }
  } catch (thrown) {
    throw networkError(what, url, thrown, signal);
  }
  if (length > limit) {
    throw new VeneError("hub-rejected", `${what}: ${url.host} answered with more than ${limit} bytes of JSON`, {
      details: { url: shownUrl(url), limit },
    });
  }
  return Buffer.concat(chunks);
}

/** We ask for plain bytes; whoever compresses nevertheless could make any amount of them. Throws `hub-rejected`. */
export function refuseEncoding(headers: HubHeaders, url: URL, what: string): void {
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding === "identity" || encoding === "") return;
  throw new VeneError("hub-rejected", `${what}: ${url.host} sent ${encoding} bytes where plain ones were asked for`, {
    hint: "a proxy may be rewriting answers",
    details: { url: shownUrl(url), encoding },
  });
}

function readJson(bytes: Uint8Array, url: URL, what: string): JsonValue {
  try {
    return parseJson(bytes, { name: `the answer of ${url.host}` });
  } catch (cause) {
    if (!(cause instanceof VeneError) || cause.code !== "json-invalid") throw cause;
    const page = /^\s*</.test(Buffer.from(bytes.subarray(0, 64)).toString("latin1"));
    throw new VeneError("hub-rejected", `${what}: ${page ? `${url.host} answered with a web page` : cause.message}`, {
      hint: page ? "the network may want you to sign in first, or HF_ENDPOINT is no Hub" : "check HF_ENDPOINT",
      details: { url: shownUrl(url) },
      cause,
    });
  }
}
