/** Which redirects are followed: never to plain http from https, never from the outside into a private network. */
import { isIP } from "node:net";
import { VeneError } from "../base/errors.ts";

export const MAX_REDIRECTS = 5;

/** The target of a `location` header. Throws `hub-rejected` for one that must not be followed. */
export function redirectTarget(from: URL, location: string | undefined): URL {
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw refusal(from, `without a usable target`);
  }
  const to = new URL(location, from);
  if (to.protocol !== "http:" && to.protocol !== "https:") throw refusal(from, `to a ${to.protocol} address`);
  if (from.protocol === "https:" && to.protocol === "http:") throw refusal(from, `from https to http (${to.host})`);
  if (to.username !== "" || to.password !== "") throw refusal(from, `to an address with credentials (${to.host})`);
  if (isPrivate(to.hostname) && !isPrivate(from.hostname)) throw refusal(from, `into a private network (${to.host})`);
  if (isLinkLocal(to.hostname) && to.hostname !== from.hostname) throw refusal(from, `to ${to.host}`);
  return to;
}

/** Loopback, private and link-local addresses, as written; names are not looked up. */
export function isPrivate(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  const four = isIP(host) === 4 ? host : mappedIPv4(host);
  if (four !== undefined) {
    const [a = 0, b = 0] = four.split(".").map(Number);
    return (
      a === 0 ||
      a === 10 ||
      a === 127 ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168) ||
      (a === 100 && b >= 64 && b < 128) ||
      (a === 169 && b === 254)
    );
  }
  return isIP(host) === 6 && (host === "::1" || host === "::" || /^f[cd]|^fe[89ab]/.test(host));
}

/** Where clouds keep their machines' credentials. */
function isLinkLocal(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return (mappedIPv4(host) ?? host).startsWith("169.254.") || /^fe[89ab]/.test(host);
}

/** "::ffff:7f00:1", as URLs normalise it, in dots. */
function mappedIPv4(host: string): string | undefined {
  const match = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
  if (match === null) return undefined;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

function refusal(from: URL, why: string): VeneError {
  return new VeneError("hub-rejected", `${from.origin}${from.pathname} redirects ${why}`, {
    hint: "check HF_ENDPOINT and the network's proxy",
    details: { url: from.origin + from.pathname },
  });
}
