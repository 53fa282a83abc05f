/** What went wrong with a request, as vene's errors: from a status and its headers, or from what the socket threw. */
import type { ErrorCode } from "../base/error-codes.ts";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import type { HubEnvironment } from "./environment.ts";

/** Header names are lower case; of a repeated header the first value counts. */
export type HubHeaders = Readonly<Record<string, string>>;

export interface FailedAnswer {
  readonly status: number;
  readonly headers: HubHeaders;
  readonly url: URL;
  /** What the body says, if it is short. */
  readonly text: string;
}

/** A URL without its query, which may hold a signature. */
export function shownUrl(url: URL): string {
  return url.origin + url.pathname;
}

/** Text of a server for a message: one line, short, without the token. */
function shownText(text: string, { token }: HubEnvironment): string {
  const safe = token === undefined ? text : text.replaceAll(token, "(token)");
  return safe
    .replace(/[\p{Cc}\s]+/gu, " ")
    .slice(0, 300)
    .trim();
}

function codeOfStatus(status: number, errorCode: string | undefined): ErrorCode {
  if (errorCode === "GatedRepo") return "hub-unauthorized";
  if (errorCode === "RepoNotFound" || status === 404 || status === 410) return "hub-not-found";
  if (status === 401 || status === 403) return "hub-unauthorized";
  if (status === 409 || status === 412) return "hub-conflict";
  if (status === 408 || status === 429 || status >= 500) return "hub-unreachable";
  return "hub-rejected";
}

const absent: Readonly<Record<string, string>> = {
  EntryNotFound: "the file does not exist at that revision",
  RevisionNotFound: "the revision does not exist",
  GatedRepo: "the repository is gated: its terms have to be accepted first",
};

/** The typed error of an answer that is no success. `what` says what was wanted: "the files of org/name". */
export function statusError(environment: HubEnvironment, what: string, answer: FailedAnswer): VeneError {
  const { status, headers, url } = answer;
  const errorCode = headers["x-error-code"];
  const code = codeOfStatus(status, errorCode);
  const said =
    absent[errorCode ?? ""] ?? shownText(headers["x-error-message"] ?? bodyMessage(answer.text), environment);
  return new VeneError(code, `${what}: ${url.host} answered ${status}${said === "" ? "" : `: ${said}`}`, {
    hint: hintOf(code, status, environment, errorCode),
    details: {
      status,
      url: shownUrl(url),
      errorCode,
      requestId: headers["x-request-id"],
      waitMs: retryAfterMs(headers),
    },
  });
}

function hintOf(code: ErrorCode, status: number, environment: HubEnvironment, errorCode: string | undefined): string {
  const { token, endpoint } = environment;
  const logIn = "set HF_TOKEN or run `vene hub login`";
  if (errorCode === "GatedRepo")
    return `accept the terms on ${endpoint}, then ${token ? "use that account's token" : logIn}`;
  if (code === "hub-unauthorized") return token ? "the token may be wrong, expired or lack the right" : logIn;
  if (code === "hub-not-found" && errorCode !== "EntryNotFound" && errorCode !== "RevisionNotFound") {
    return token
      ? "check the spelling, and whether the token may see it"
      : `check the spelling; if it is private, ${logIn}`;
  }
  if (code === "hub-not-found") return "check the spelling of the revision and the path";
  if (code === "hub-conflict") return "somebody else changed it: read it again and repeat";
  if (status === 429) return "too many requests: wait, or set HF_TOKEN for a higher limit";
  if (code === "hub-unreachable") return "try again later; what was downloaded already is kept";
  return "check HF_ENDPOINT and the request";
}

/** `error` of a JSON body, as the Hub words its refusals; anything else (a page of a proxy) says nothing. */
function bodyMessage(text: string): string {
  const quoted = /^\s*\{\s*"error"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  try {
    return quoted === undefined ? "" : String(parseJson(quoted));
  } catch {
    return "";
  }
}

/** Pause the server asks for, from Retry-After (seconds or a date) or the draft RateLimit header. */
export function retryAfterMs(headers: HubHeaders): number | undefined {
  const after = headers["retry-after"];
  if (after !== undefined && /^\d{1,15}$/.test(after)) return 1000 * Number(after);
  const until = after === undefined ? Number.NaN : Date.parse(after);
  if (!Number.isNaN(until)) return Math.max(0, until - Date.now());
  const rateLimit = /(?:^|;)\s*r=0\s*;\s*t=(\d{1,9})/.exec(headers["ratelimit"] ?? "");
  return rateLimit === null ? undefined : 1000 * Number(rateLimit[1]);
}

/** Codes that say nobody answered at all: trying again at once would not help. */
const noConnection = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** What a request or its body threw, as a VeneError: `aborted` for the caller's signal, else `hub-unreachable`. */
export function networkError(what: string, url: URL, thrown: unknown, signal: AbortSignal | undefined): VeneError {
  if (signal?.aborted) return new VeneError("aborted", "stopped by the caller's signal", { cause: thrown });
  if (thrown instanceof VeneError) return thrown;
  const system = systemCodeOf(thrown) ?? systemCodeOf((thrown as { cause?: unknown } | null)?.cause);
  const certificate = system !== undefined && /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(system);
  const plain = system === "ERR_SSL_WRONG_VERSION_NUMBER";
  const why = plain ? "it speaks no TLS" : messageOf(thrown) || system;
  return new VeneError("hub-unreachable", `${what}: no answer from ${url.host}: ${why}`, {
    hint: plain
      ? "if it is meant to be plain http, say so in HF_ENDPOINT"
      : certificate
        ? "the server's certificate is not trusted: behind a company's proxy set NODE_EXTRA_CA_CERTS"
        : "check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use only what is cached",
    details: { url: shownUrl(url), system, noConnection: certificate || noConnection.has(system ?? "") },
    cause: thrown,
  });
}
