/** JSON text exactly as transformers' PretrainedConfig writes it: json.dumps(indent=2, sort_keys=True), ASCII only, newline at the end. */
import type { JsonValue } from "../formats/json.ts";

/** The text of a config.json. */
export function pythonJson(value: JsonValue): string {
  return `${render(value, "\n")}\n`;
}

function render(value: JsonValue, newline: string): string {
  const inner = `${newline}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[${inner}${value.map((item) => render(item, inner)).join(`,${inner}`)}${newline}]`;
  }
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value).sort(byCodePoint);
    if (keys.length === 0) return "{}";
    const lines = keys.map((key) => `${asciiString(key)}: ${render(value[key]!, inner)}`);
    return `{${inner}${lines.join(`,${inner}`)}${newline}}`;
  }
  if (typeof value === "string") return asciiString(value);
  return typeof value === "number" ? pythonNumber(value) : String(value);
}

/** Python writes 1e-05 and 1e+16 where JavaScript writes 0.00001 and 10000000000000000 for what is not an int. */
function pythonNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  const magnitude = Math.abs(value);
  const text = magnitude < 1e-4 || magnitude >= 1e16 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function asciiString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function byCodePoint(one: string, other: string): number {
  const left = [...one];
  const right = [...other];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
