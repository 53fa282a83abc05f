/** Strict JSON: what JSON.parse accepts, minus duplicate keys, deep nesting, byte order marks and broken Unicode. */
import { messageOf, VeneError } from "../base/errors.ts";

/** Objects have no prototype, so that keys such as `__proto__` and `constructor` are data and nothing else. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

export interface JsonOptions {
  /** What messages call the text: a path. */
  readonly name?: string;
  /** Arrays and objects within one another; 64 unless told. */
  readonly maxDepth?: number;
  /** Values in all, which bounds memory for texts such as `[[],[],...`; 8 million unless told. */
  readonly maxValues?: number;
}

/** Parses UTF-8 bytes or text. Throws `json-invalid` naming line and column. */
export function parseJson(text: string | Uint8Array, options: JsonOptions = {}): JsonValue {
  const name = options.name ?? "JSON text";
  const decoded = typeof text === "string" ? text : decodeUtf8(text, name);
  return new JsonReader(decoded, name, options.maxDepth ?? 64, options.maxValues ?? 8_000_000).document();
}

function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new VeneError("json-invalid", `${name} is not UTF-8 text: ${messageOf(cause)}`, { details: { name }, cause });
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const loneSurrogate = /\p{Surrogate}/u;
const literals = new Map<string, null | boolean>([
  ["t", true],
  ["f", false],
  ["n", null],
]);

class JsonReader {
  readonly #text: string;
  readonly #name: string;
  readonly #maxDepth: number;
  #valuesLeft: number;
  #at = 0;

  constructor(text: string, name: string, maxDepth: number, maxValues: number) {
    this.#text = text;
    this.#name = name;
    this.#maxDepth = maxDepth;
    this.#valuesLeft = maxValues;
  }

  document(): JsonValue {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#fail("starts with a byte order mark");
    this.#skipSpace();
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("something follows the end of the value");
    return value;
  }

  #value(depth: number): JsonValue {
    if (--this.#valuesLeft < 0) this.#fail("too many values");
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#array(depth + 1);
    if (first === '"') return this.#string();
    const literal = first === undefined ? undefined : literals.get(first);
    if (literal !== undefined) return this.#literal(literal);
    return this.#number();
  }

  #object(depth: number): JsonValue {
    this.#enter(depth);
    const object = Object.create(null) as { [key: string]: JsonValue };
    if (this.#closes("}")) return object;
    do {
      this.#skipSpace();
      const start = this.#at;
      if (this.#text[start] !== '"') this.#fail("expected a key in double quotes");
      const key = this.#string();
      if (Object.hasOwn(object, key)) this.#fail(`the key ${JSON.stringify(key).slice(0, 80)} appears twice`, start);
      this.#skipSpace();
      if (this.#text[this.#at++] !== ":") this.#fail("expected a colon after the key", this.#at - 1);
      this.#skipSpace();
      object[key] = this.#value(depth);
    } while (this.#continues("}"));
    return object;
  }

  #array(depth: number): JsonValue {
    this.#enter(depth);
    const items: JsonValue[] = [];
    if (this.#closes("]")) return items;
    do {
      this.#skipSpace();
      items.push(this.#value(depth));
    } while (this.#continues("]"));
    return items;
  }

  #enter(depth: number): void {
    if (depth > this.#maxDepth) this.#fail(`nested deeper than ${this.#maxDepth} levels`);
    this.#at++;
    this.#skipSpace();
  }

  #closes(bracket: string): boolean {
    if (this.#text[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  /** After an item: true behind a comma, false behind the closing bracket. */
  #continues(bracket: string): boolean {
    this.#skipSpace();
    if (this.#closes(bracket)) return false;
    if (this.#text[this.#at] !== ",") this.#fail(`expected a comma or ${bracket}`);
    this.#at++;
    return true;
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    let escaped = false;
    for (; this.#text.charCodeAt(end) !== QUOTE; end++) {
      const code = this.#text.charCodeAt(end);
      if (code < 0x20) this.#fail("a control character stands in a string", end);
      if (end >= this.#text.length) this.#fail("a string does not end", start);
      if (code === BACKSLASH) {
        escaped = true;
        end++;
      }
    }
    this.#at = end + 1;
    const value = escaped ? this.#unescape(start, end + 1) : this.#text.slice(start + 1, end);
    if (loneSurrogate.test(value)) this.#fail("half of a surrogate pair stands in a string", start);
    return value;
  }

  #unescape(start: number, end: number): string {
    try {
      return JSON.parse(this.#text.slice(start, end)) as string;
    } catch {
      return this.#fail("a string has an escape that JSON does not know", start);
    }
  }

  #literal(value: null | boolean): null | boolean {
    const word = String(value);
    if (!this.#text.startsWith(word, this.#at)) this.#fail("expected a value");
    this.#at += word.length;
    return value;
  }

  #number(): number {
    numberPattern.lastIndex = this.#at;
    const found = numberPattern.exec(this.#text);
    if (found === null) this.#fail(this.#at < this.#text.length ? "expected a value" : "the text ends too early");
    const value = Number(found[0]);
    if (!Number.isFinite(value)) this.#fail("a number is too large for a double");
    this.#at += found[0].length;
    return value;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #fail(problem: string, at = this.#at): never {
    let line = 1;
    let lineStart = 0;
    for (let end = this.#text.indexOf("\n"); end >= 0 && end < at; end = this.#text.indexOf("\n", lineStart)) {
      line++;
      lineStart = end + 1;
    }
    const column = at - lineStart + 1;
    throw new VeneError("json-invalid", `${this.#name}, line ${line}, column ${column}: ${problem}`, {
      details: { name: this.#name, line, column },
    });
  }
}
