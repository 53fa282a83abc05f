/** Single values of pyvene's config.json: class names, units, counts. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { type Kind, kindSpecOf, kinds } from "../spec/kinds.ts";
import { isUnit, type Unit, units } from "../spec/sites.ts";

/** The class's own name from "<class 'pyvene.models.interventions.AdditionIntervention'>" or a dotted path; its module is never looked at. */
export function classNameOf(text: string): string {
  const path = /^<class '([^']*)'>$/.exec(text.trim())?.[1] ?? text.trim();
  return path.slice(path.lastIndexOf(".") + 1);
}

/** The `pyvene-class` error for a class that neither its name nor its tensors tell; `candidates` are the kinds they fit. */
export function unknownClass(classText: string, index: number, candidates: readonly Kind[]): VeneError {
  const shown = classNameOf(classText).slice(0, 80);
  const why =
    candidates.length > 1
      ? `, and its tensors could be those of ${candidates.join(" or ")}`
      : ", nor are its tensors those of any class it knows";
  const supported = kinds.flatMap((kind) => kindSpecOf(kind).pyveneClass ?? []).join(", ");
  return new VeneError(
    "pyvene-class",
    `intervention ${index} is of the class ${JSON.stringify(shown)}, which vene does not know${why}`,
    {
      hint: `supported: ${supported}; if it is one of these under another name, name that in the config's intervention_types`,
      details: { className: shown, class: classText.slice(0, 200), index, candidates },
    },
  );
}

export function unitOf(value: JsonValue, index: number): Unit {
  if (typeof value === "string" && isUnit(value)) return value;
  throw new VeneError(
    "pyvene-config",
    `representation ${index}: unit is ${JSON.stringify(value).slice(0, 60)}, expected one of ${units.join(", ")}`,
    { details: { index } },
  );
}

/** A whole number from 1 to 2^31. */
export function positiveNumber(value: JsonValue, field: string, index: number): number {
  const number = optionalNumber(value, field, index);
  if (number !== undefined && number >= 1) return number;
  throw notANumber(value, field, index, "from 1 on");
}

/** A whole number from 0 to 2^31, or undefined for null. */
export function optionalNumber(value: JsonValue, field: string, index: number): number | undefined {
  if (value === null) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 2 ** 31) return value;
  throw notANumber(value, field, index, "from 0 on");
}

function notANumber(value: JsonValue, field: string, index: number, range: string): VeneError {
  return new VeneError(
    "pyvene-config",
    `representation ${index}: ${field} is ${JSON.stringify(value).slice(0, 60)}, expected a whole number ${range}`,
    { details: { field, index } },
  );
}
