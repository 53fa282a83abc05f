/** Reads option values that are not plain text: numbers, lists, unit locations. */
import { InvalidArgumentError } from "commander";
import type { ModelDType, UnitLocations } from "../index.ts";

/** A decimal number; its range is the library's business. */
export function numberValue(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number.");
}

/** A whole number of at least 1. */
export function countValue(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("It must be a whole number, 1 or more.");
}

/** A whole number of at least 0. */
export function indexValue(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("It must be a whole number, 0 or more.");
}

const dtypes = ["fp32", "q8", "q4"] as const satisfies readonly ModelDType[];

/** What the weights of a model are computed with. */
export function dtypeValue(text: string): ModelDType {
  const known = dtypes.find((dtype) => dtype === text);
  if (known !== undefined) return known;
  throw new InvalidArgumentError(`It must be one of ${dtypes.join(", ")}.`);
}

/** For options that may be repeated. */
export function listValue(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

const MAX_DEPTH = 8;

/** JSON in the shape of pyvene's unit_locations: an object of numbers, nulls and nested lists of them. */
export function locationsValue(text: string): UnitLocations {
  const fault = new InvalidArgumentError(
    'It must be a JSON object such as {"base": 3} or {"sources->base": [4, 4]}: names with numbers or lists of numbers.',
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fault;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fault;
  if (!Object.values(value).every((side) => isLocation(side, 0))) throw fault;
  return value as UnitLocations;
}

function isLocation(value: unknown, depth: number): boolean {
  if (value === null || typeof value === "number") return true;
  return Array.isArray(value) && depth < MAX_DEPTH && value.every((item) => isLocation(item, depth + 1));
}
