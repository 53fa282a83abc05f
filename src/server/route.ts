/** A route as a plain object: method, path pattern, who may use it, and the handler. */
import type { IncomingMessage } from "node:http";
import type { Answer } from "./http/answer.ts";
import type { Hub } from "./hub.ts";
import type { Identity } from "./identity.ts";
import type { Repository } from "./store/repository.ts";

/** One request on its way through a handler. The body is still unread. */
export interface Exchange {
  readonly hub: Hub;
  readonly request: IncomingMessage;
  /** Absolute, as the client addressed the server. */
  readonly url: URL;
  /** What absolute links in answers start with, no trailing slash: "http://127.0.0.1:7860". */
  readonly endpoint: string;
  /** What the pattern's placeholders matched, still percent-encoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly identity: Identity;
}

/** An exchange about a repository that the caller was found to have access to. */
export interface RepoExchange extends Exchange {
  readonly repository: Repository;
}

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * Who may use a route that names no repository. `open`: anyone; the handler hides what the caller may not see. `signed-in`: any
 * valid token; `writer`: one that may write; `granted`: whoever has one of `hub.grants`, which the handler redeems (the
 * Authorization header is no user's then, and the identity anonymous). The last two are refused in read-only mode.
 */
export type OpenAccess = "open" | "signed-in" | "writer" | "granted";

/**
 * Who may use a route that names a repository. `read`: public repositories anyone, private ones those of its namespace;
 * `contribute`: who may read and has a token that may write (pull requests); `write`: members of the namespace (a token
 * that may write). All but `read` are refused in read-only mode.
 */
export type RepoAccess = "read" | "contribute" | "write";

interface RoutePattern {
  /** GET routes answer HEAD, too. */
  readonly method: Method;
  /**
   * `/literal/:placeholder/*`: a placeholder matches one segment, a final `*` the rest (possibly empty) as parameter `rest`.
   * `{api}` at the start stands for /api/<models|datasets|spaces>/<namespace>/<name>, `{web}` for
   * [/<datasets|spaces>]/<namespace>/<name>; both name a repository.
   */
  readonly pattern: string;
}

export interface OpenRoute extends RoutePattern {
  readonly access: OpenAccess;
  readonly handle: (exchange: Exchange) => Promise<Answer>;
}

export interface RepoRoute extends RoutePattern {
  readonly access: RepoAccess;
  readonly handle: (exchange: RepoExchange) => Promise<Answer>;
}

export type Route = OpenRoute | RepoRoute;

/** Placeholders of `{api}` and `{web}` patterns. */
export const REPO_PATTERNS = {
  "{api}": "/api/(?<types>models|datasets|spaces)/(?<namespace>[^/]+)/(?<name>[^/]+)",
  "{web}": "(?:/(?<types>datasets|spaces))?/(?!api/)(?<namespace>[^/]+)/(?<name>[^/]+?)",
} as const;

/** The regular expression of a pattern; groups are named after the placeholders. */
export function patternExpression(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+?^$()|[\]\\]/g, "\\$&")
    .replace(/^\{(?:api|web)\}/, (name) => REPO_PATTERNS[name as keyof typeof REPO_PATTERNS])
    .replace(/\/:([a-z]+)/g, "/(?<$1>[^/]+)")
    .replace(/\/\*$/, "(?:/(?<rest>.*))?");
  return new RegExp(`^${source}/?$`, "s");
}

export function isRepoRoute(route: Route): route is RepoRoute {
  return route.pattern.startsWith("{");
}
