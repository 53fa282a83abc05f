/** Reads a checkpoint's config.json field by field, with errors that name the field and what was found. */
import { VeneError } from "../base/errors.ts";

const LARGEST = 2 ** 31 - 1;

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Typed access to a config. `null` counts as absent, as transformers writes it. */
export class ConfigReader {
  readonly #fields: Json;
  readonly #path: string;

  constructor(fields: unknown, path = "config.json") {
    if (!isObject(fields)) throw new VeneError("checkpoint-invalid", `${path} is not a JSON object`);
    this.#fields = fields;
    this.#path = path;
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined && this.#fields[key] !== null;
  }

  /** True where the config says null outright, which some families mean otherwise than saying nothing. */
  isNull(key: string): boolean {
    return this.#fields[key] === null;
  }

  /** A positive integer. `most` bounds what is allocated by it before any weight has been looked at. */
  int(key: string, fallback?: number, most = LARGEST): number {
    const value = this.#field(key, fallback);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw this.#wrong(key, value, `an integer from 1 to ${most}`);
  }

  number(key: string, fallback?: number): number {
    const value = this.#field(key, fallback);
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.#wrong(key, value, "a finite number");
  }

  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value > 0) return value;
    throw this.#wrong(key, value, "a number above 0");
  }

  boolean(key: string, fallback?: boolean): boolean {
    const value = this.#field(key, fallback);
    if (typeof value === "boolean") return value;
    throw this.#wrong(key, value, "true or false");
  }

  string(key: string, fallback?: string): string {
    const value = this.#field(key, fallback);
    if (typeof value === "string") return value;
    throw this.#wrong(key, value, "a string");
  }

  /** One id or a list of them (eos_token_id is written both ways); [] when absent. -1 is some configs' word for none. */
  ids(key: string): number[] {
    if (!this.has(key)) return [];
    const value = this.#fields[key];
    const list = Array.isArray(value) ? value : [value];
    if (list.every((id) => Number.isInteger(id) && id >= -1)) return list.filter((id) => id >= 0);
    throw this.#wrong(key, value, "a token id or a list of them");
  }

  /** A list of strings, or undefined. */
  strings(key: string): readonly string[] | undefined {
    return this.#list(key, (item) => typeof item === "string", "a list of strings");
  }

  /** A list of finite numbers, or undefined. */
  numbers(key: string): readonly number[] | undefined {
    return this.#list(key, (item) => Number.isFinite(item), "a list of finite numbers");
  }

  /** The nested object at `key`, or undefined. */
  child(key: string): ConfigReader | undefined {
    return this.has(key) ? new ConfigReader(this.#fields[key], `${this.#path}: ${key}`) : undefined;
  }

  /** The whole config as JSON with sorted keys, without the named fields: equal for equal configs. */
  canonical(without: readonly string[]): string {
    const kept = Object.entries(this.#fields).filter(([key]) => !without.includes(key));
    return JSON.stringify(sorted(Object.fromEntries(kept)));
  }

  /** The refusal of a value that is well-formed but not something the family's compiler does. */
  unsupported(key: string, supported: string): VeneError {
    const found = JSON.stringify(this.#fields[key]);
    return new VeneError("config-unsupported", `${this.#path}: ${key} is ${found}, supported: ${supported}`, {
      details: { key, found: this.#fields[key] },
    });
  }

  #list<T>(key: string, holds: (item: unknown) => boolean, expected: string): readonly T[] | undefined {
    if (!this.has(key)) return undefined;
    const value = this.#fields[key];
    if (Array.isArray(value) && value.every(holds)) return value as T[];
    throw this.#wrong(key, value, expected);
  }

  #field(key: string, fallback: unknown): unknown {
    if (this.has(key)) return this.#fields[key];
    if (fallback !== undefined) return fallback;
    throw new VeneError("checkpoint-invalid", `${this.#path} has no ${key}`, { details: { key } });
  }

  #wrong(key: string, found: unknown, expected: string): VeneError {
    return new VeneError(
      "checkpoint-invalid",
      `${this.#path}: ${key} is ${JSON.stringify(found)}, expected ${expected}`,
      {
        details: { key, found },
      },
    );
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, sorted(inner)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
