/** Refuses options nobody knows: a misspelt or snake_case name would otherwise be ignored in silence. */
import type { ErrorCode } from "./error-codes.ts";
import { VeneError } from "./errors.ts";

/** Throws `code`, naming the key and the camelCase name that was probably meant. Anything but an object is refused, too. */
export function checkKeys(what: string, given: unknown, known: readonly string[], code: ErrorCode): void {
  if (typeof given !== "object" || given === null) {
    throw new VeneError(code, `${what} is ${String(given)}, expected an object`, { details: { what } });
  }
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const camel = unknown.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const meant = known.find((key) => key.toLowerCase() === camel.toLowerCase());
  throw new VeneError(code, `${what} has no option ${JSON.stringify(unknown)}`, {
    hint: meant === undefined ? `there are ${known.join(", ")}` : `it is called ${meant}`,
    details: { what, unknown, known },
  });
}
