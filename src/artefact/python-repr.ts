/** Reads the text of a Python call with keyword arguments, which a pyreft bug wrote into config.json in place of a list. */
import type { JsonValue } from "../formats/json.ts";

const MAX_DEPTH = 16;

/**
 * "RepresentationConfig(layer=4, component='block_output', intervention=Loreft(...))" as name to value. None becomes null;
 * numbers, strings, True, False, lists and tuples are themselves; anything else (an object's repr) is null, as pyvene
 * stores nothing there either. Undefined if the text is not such a call.
 */
export function parsePythonCall(text: string): Map<string, JsonValue> | undefined {
  const call = /^\s*[A-Za-z_][\w.]*\(/.exec(text);
  if (call === null || !/\)\s*$/.test(text)) return undefined;
  const body = text.slice(call[0].length, text.lastIndexOf(")"));
  const values = new Map<string, JsonValue>();
  for (const part of splitAtCommas(body)) {
    if (part.trim() === "") continue;
    const pair = /^\s*([A-Za-z_]\w*)\s*=(.*)$/s.exec(part);
    if (pair === null || values.has(pair[1]!)) return undefined;
    values.set(pair[1]!, literal(pair[2]!.trim(), 0));
  }
  return values;
}

/** Parts between commas that are in no bracket and no string. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!;
    if (quote !== "") {
      if (letter === "\\") at++;
      else if (letter === quote) quote = "";
    } else if (letter === "'" || letter === '"') quote = letter;
    else if ("([{<".includes(letter)) depth++;
    else if (")]}>".includes(letter)) depth--;
    else if (letter === "," && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

const words = new Map<string, JsonValue>([
  ["None", null],
  ["True", true],
  ["False", false],
]);

function literal(text: string, depth: number): JsonValue {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (/^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return Number(text);
  const quoted = /^(['"])([^\\]*)\1$/s.exec(text);
  if (quoted !== null && !quoted[2]!.includes(quoted[1]!)) return quoted[2]!;
  if (depth < MAX_DEPTH && /^(\[.*\]|\(.*\))$/s.test(text)) {
    const items = splitAtCommas(text.slice(1, -1)).map((item) => item.trim());
    return items.filter((item) => item !== "").map((item) => literal(item, depth + 1));
  }
  return null;
}
