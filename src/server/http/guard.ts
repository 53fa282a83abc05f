/** Requests that a browser was talked into: refused by the Host and Origin they come with. */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { HttpError } from "./http-error.ts";

/** Names that the server answers to; see `allowsHost`. */
export type HostNames = ReadonlySet<string>;

export function hostNames(given: readonly string[]): HostNames {
  return new Set(["localhost", hostname().toLowerCase(), ...given.map((name) => name.toLowerCase())]);
}

/**
 * Rebinding needs a name in the attacker's DNS, so names must be known ones; an address or localhost cannot be rebound. Throws
 * HttpError 421.
 */
export function demandKnownHost({ headers }: IncomingMessage, known: HostNames): string {
  const host = headers.host ?? "";
  const found = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host);
  const name = (found?.[1] ?? found?.[2] ?? "").toLowerCase();
  if (name !== "" && (isIP(name) !== 0 || known.has(name) || name.endsWith(".localhost"))) return host;
  throw new HttpError(421, `this server does not answer to the name ${JSON.stringify(host.slice(0, 200))}`);
}

const safe = new Set(["GET", "HEAD"]);

/** Pages of other origins cannot read (nothing answers with CORS headers) and must not write either. Throws HttpError 403. */
export function demandOwnOrigin({ headers, method = "" }: IncomingMessage, endpoints: readonly string[]): void {
  if (safe.has(method)) return;
  const { origin } = headers;
  const site = headers["sec-fetch-site"];
  const foreignOrigin = origin !== undefined && !endpoints.includes(origin.toLowerCase());
  const foreignSite = site !== undefined && site !== "same-origin" && site !== "none";
  if (foreignOrigin || foreignSite) throw new HttpError(403, "pages of other origins may not write here");
}
