/** Format versions: which is current, and how documents of older ones become current, one version at a time and in memory. */
import { VeneError } from "../base/errors.ts";

/** The format this vene writes. */
export const currentFormat = 1;

/** Every format that was ever released. */
type ReleasedFormat = 1;

type JsonObject = { readonly [key: string]: unknown };

/** Turns a document of format n into one of format n + 1; it sets `format` itself. */
export type Migration = (document: JsonObject) => JsonObject;

/** From each older format to the next. Releasing a format adds its number to ReleasedFormat, and the compiler asks for a row here. */
export const migrations = {} satisfies { [From in Exclude<ReleasedFormat, typeof currentFormat>]: Migration };

/**
 * The document in the current format. Throws `manifest-invalid` when it is no object with a known format, `format-newer` when a
 * newer vene wrote it.
 */
export function migrate(
  json: unknown,
  name: string,
  current: number = currentFormat,
  steps: { readonly [from: number]: Migration } = migrations,
): JsonObject {
  let document = objectWithFormat(json, name);
  let format = formatOf(document, name);
  if (format > current) {
    throw new VeneError("format-newer", `${name} is of format ${format}, this vene reads up to ${current}`, {
      hint: "upgrade vene",
      details: { name, format, current },
    });
  }
  while (format < current) {
    const step = Object.hasOwn(steps, format) ? steps[format] : undefined;
    if (step === undefined) throw notAManifest(name, `format ${format} was never released`);
    document = step(document);
    if (document["format"] !== format + 1) throw notAManifest(name, `format ${format} did not become ${format + 1}`);
    format += 1;
  }
  return document;
}

function objectWithFormat(json: unknown, name: string): JsonObject {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonObject;
  throw notAManifest(name, "not a JSON object");
}

function formatOf(document: JsonObject, name: string): number {
  const format = Object.hasOwn(document, "format") ? document["format"] : undefined;
  if (typeof format === "number" && Number.isSafeInteger(format) && format >= 1) return format;
  throw notAManifest(name, `format is ${JSON.stringify(format) ?? "absent"}, expected a number from 1 on`);
}

function notAManifest(name: string, why: string): VeneError {
  return new VeneError("manifest-invalid", `${name}: ${why}`, { details: { name, why } });
}
