/** Query parameters as the clients write them. */
import { HttpError } from "./http-error.ts";

/** JS writes "true", Python "True", some "1". */
export function isTrue(text: string | null): boolean {
  return text !== null && /^(1|true)$/i.test(text);
}

export function queryFlag(url: URL, name: string): boolean {
  return isTrue(url.searchParams.get(name));
}

/** A whole number from 0, at most `max`; `otherwise` when absent. Throws HttpError 400. */
export function queryCount(url: URL, name: string, otherwise: number, max: number): number {
  const text = url.searchParams.get(name);
  if (text === null || text === "") return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new HttpError(400, `${name} is no whole number`);
  return Math.min(Number(text), max);
}

/** A `Link` header to the same address with other parameters: absolute, as both clients need it. */
export function nextLink(url: URL, parameters: Readonly<Record<string, string>>): { readonly link: string } {
  const next = new URL(url);
  for (const [name, value] of Object.entries(parameters)) next.searchParams.set(name, value);
  return { link: `<${next.href}>; rel="next"` };
}
