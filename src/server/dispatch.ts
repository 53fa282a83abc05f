/** Every request's way: guards, who it is, the route, access, the handler, the answer. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { demandAccess, notSignedIn } from "./access.ts";
import type { Answer } from "./http/answer.ts";
import { demandKnownHost, demandOwnOrigin, type HostNames } from "./http/guard.ts";
import { HttpError } from "./http/http-error.ts";
import { asHttpError, discardBody, errorAnswer, send } from "./http/send.ts";
import type { Hub } from "./hub.ts";
import { ANONYMOUS, type Identity, mayWrite, type Tokens } from "./identity.ts";
import { repoNameOf } from "./repo-address.ts";
import { type Exchange, isRepoRoute, type OpenAccess, patternExpression, type Route } from "./route.ts";

export interface DispatchOptions {
  readonly hub: Hub;
  readonly tokens: Tokens;
  readonly hosts: HostNames;
  /** What links start with when a proxy stands before the server. */
  readonly publicUrl: string | undefined;
  readonly routes: readonly Route[];
  /** Hears of errors that are the server's own fault. */
  readonly onFault: (fault: unknown) => void;
}

/** The request listener. Never throws. */
export function dispatcher(options: DispatchOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const table = options.routes.map((route) => ({ route, expression: patternExpression(route.pattern) }));
  return (request, response) => {
    void answerTo(request, response, options, table).catch(() => response.destroy());
  };
}

type Table = readonly { readonly route: Route; readonly expression: RegExp }[];

async function answerTo(request: IncomingMessage, response: ServerResponse, options: DispatchOptions, table: Table) {
  const requestId = randomUUID();
  response.setHeader("x-request-id", requestId);
  request.once("end", () => request.socket.setTimeout(0)); // a handler may take its time once it has everything
  let answer: Answer;
  try {
    answer = await handle(request, options, table);
  } catch (thrown) {
    if (asHttpError(thrown, requestId).status === 500 && !request.destroyed) options.onFault(thrown);
    await discardBody(request);
    answer = errorAnswer(thrown, requestId);
  }
  request.socket.setTimeout(options.hub.limits.idleMs);
  await send(request, response, answer);
}

async function handle(request: IncomingMessage, options: DispatchOptions, table: Table): Promise<Answer> {
  const { hub, tokens, publicUrl } = options;
  const own = `http://${demandKnownHost(request, options.hosts)}`;
  demandOwnOrigin(
    request,
    publicUrl === undefined ? [own.toLowerCase()] : [own.toLowerCase(), new URL(publicUrl).origin],
  );
  const endpoint = publicUrl ?? own;
  const url = urlOf(request, endpoint);
  const { route, parameters } = findRoute(table, request.method ?? "", url.pathname);
  const identity = route.access === "granted" ? ANONYMOUS : tokens.identify(request.headers.authorization);
  if (identity === undefined) throw new HttpError(401, "Invalid credentials in Authorization header");
  const exchange: Exchange = { hub, request, url, endpoint, parameters, identity };
  if (hub.readOnly && !reading.has(route.access)) throw new HttpError(403, "this server is read-only");
  if (!isRepoRoute(route)) {
    demandRole(identity, route.access);
    return route.handle(exchange);
  }
  const { type, namespace, name } = repoNameOf(parameters);
  const repository = demandAccess(hub.repositories.get(type, namespace, name), identity, route.access);
  return route.handle({ ...exchange, repository });
}

const reading: ReadonlySet<Route["access"]> = new Set(["open", "signed-in", "read"] as const);

/** Throws HttpError 400 for targets that are no path of this server. */
function urlOf({ url = "" }: IncomingMessage, endpoint: string): URL {
  if (!/^\/(?!\/)/.test(url) || !URL.canParse(url, endpoint))
    throw new HttpError(400, "the request's target is no path");
  return new URL(url, endpoint);
}

function findRoute(table: Table, method: string, path: string) {
  const wanted = method === "HEAD" ? "GET" : method;
  let allowed = "";
  for (const { route, expression } of table) {
    const found = expression.exec(path);
    if (found === null) continue;
    if (route.method === wanted) {
      const groups = Object.entries(found.groups ?? {}).filter(([, value]) => value !== undefined);
      return { route, parameters: Object.fromEntries(groups) };
    }
    allowed = route.method;
  }
  if (allowed !== "")
    throw new HttpError(405, `${path} takes no ${method.slice(0, 20)}`, { headers: { allow: allowed } });
  throw new HttpError(404, `there is no ${path.slice(0, 200)} here`);
}

const roleChecks = {
  open: () => undefined,
  granted: () => undefined,
  "signed-in": (identity) => {
    if (identity.name === undefined) throw notSignedIn();
  },
  writer: (identity) => {
    if (identity.name === undefined) throw notSignedIn();
    if (!mayWrite(identity)) throw new HttpError(403, `the token of ${identity.name} may only read`);
  },
} as const satisfies { [A in OpenAccess]: (identity: Identity) => void };

function demandRole(identity: Identity, access: OpenAccess): void {
  roleChecks[access](identity);
}
