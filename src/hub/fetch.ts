/** A `fetch` for @huggingface/hub that is our transport: its retries, typed errors, token and offline rules apply. */
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { VeneError } from "../base/errors.ts";
import type { HubEnvironment } from "./environment.ts";
import { type HubRequest, hubRequest } from "./transport.ts";

/** Calls that may be sent twice: the same bytes lead to the same state. A commit is none. */
const repeatablePaths = /\/preupload\/|\/info\/lfs\/objects\/batch$|\/paths-info\//;

/**
 * Pass it as `fetch`, and no `accessToken`: the token is added here, for the endpoint's origin only, so that tokens without
 * "hf_" work, too. Answers that are no success are thrown as VeneError before the client sees them. Commits of many files are
 * answered late: `headersTimeoutMs` is then the longest wait.
 */
export function hubFetch(
  environment: HubEnvironment,
  { what, headersTimeoutMs, signal }: { what: string; headersTimeoutMs?: number; signal?: AbortSignal | undefined },
): typeof globalThis.fetch {
  return async (input, init = {}) => {
    if (typeof input !== "string" && !(input instanceof URL)) {
      throw new VeneError("hub-usage", `${what}: a Request object was given where a URL is expected`);
    }
    const url = String(input);
    const method = (init.method ?? "GET").toUpperCase() as NonNullable<HubRequest["method"]>;
    const response = await hubRequest(environment, {
      method,
      url,
      what,
      headers: Object.fromEntries(new Headers(init.headers)),
      body: (init.body ?? undefined) as HubRequest["body"],
      repeatable: ["GET", "HEAD", "PUT"].includes(method) || repeatablePaths.test(new URL(url).pathname),
      signal: init.signal ?? signal,
      ...(headersTimeoutMs === undefined ? {} : { headersTimeoutMs }),
    });
    const bodiless = method === "HEAD" || [204, 205, 304].includes(response.status);
    if (bodiless) response.body.resume();
    const body = bodiless ? null : (Readable.toWeb(response.body) as ReadableStream<Uint8Array>);
    const answer = new Response(body, { status: response.status, headers: { ...response.headers } });
    return Object.defineProperty(answer, "url", { value: response.url.href });
  };
}
