/** Search over the rows of registries: shard by shard, parsing only the rows in which the rarest word occurs. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { SearchRow } from "../spec/registry-index.ts";
import { configured, type RegistryOptions, registryOptionNames, viewOf } from "./registries.ts";
import { parseRow, readSearch } from "./search-shards.ts";

export interface SearchOptions extends RegistryOptions {
  /** Words that all have to occur in name, summary, tags, base, kinds or components, in any case. */
  readonly text?: string | undefined;
  /** Hub id of the base, or its last part. */
  readonly base?: string | undefined;
  /** model_type of the base. */
  readonly architecture?: string | undefined;
  readonly kind?: string | undefined;
  readonly component?: string | undefined;
  readonly license?: string | undefined;
  /** Most bytes of all files together. */
  readonly maxBytes?: number | undefined;
  /** Default 50. */
  readonly limit?: number | undefined;
}

const optionNames = [
  "text",
  "base",
  "architecture",
  "kind",
  "component",
  "license",
  "maxBytes",
  "limit",
  ...registryOptionNames,
] as const satisfies readonly (keyof SearchOptions)[];

/** A name that fits, by its newest version. */
export interface FoundIntervention extends SearchRow {
  /** The registry's name. */
  readonly registry: string;
}

export interface SearchResult {
  /** In the order of the registries, then by name. */
  readonly found: readonly FoundIntervention[];
  /** Whether there are more than `limit`. */
  readonly more: boolean;
  readonly notices: readonly string[];
}

const MAX_SHARD_BYTES = 1 << 28;

/** Names whose newest version fits everything that is asked. Throws `registry-usage`, and what reading a registry throws. */
export async function searchInterventions(options: SearchOptions = {}): Promise<SearchResult> {
  checkKeys("search's options", options, optionNames, "usage");
  const { limit = 50, registry, cacheFolder, hub, signal } = options;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new VeneError("registry-usage", `limit is ${limit}, expected a whole number from 1 on`);
  }
  const registries = configured({ registry, cacheFolder, hub, signal });
  const words = wordsOf(options.text);
  const needles = needlesOf(options, words);
  const found: FoundIntervention[] = [];
  const notices: string[] = [];
  for (const { store, name } of registries.list) {
    const { snapshot, about } = await viewOf(store, registries);
    for (const { path } of (await readSearch(snapshot))?.shards ?? []) {
      const bytes = await snapshot.read(path, MAX_SHARD_BYTES);
      if (bytes === undefined) continue;
      for (const row of rowsWith(bytes, needles, path)) {
        if (!fits(row, options, words)) continue;
        found.push({ ...row, registry: name ?? about.name });
        if (found.length > limit) return { found: found.slice(0, limit), more: true, notices };
      }
    }
    notices.push(...snapshot.notices);
  }
  return { found, more: false, notices };
}

function wordsOf(text = ""): string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
    .slice(0, 32);
}

/** What rows must contain as they are written, in any case: the longest is looked for, the others tell hits apart. */
interface Needles {
  readonly pattern: RegExp;
  readonly others: readonly string[];
}

/** Only ASCII, as rows are looked at as bytes, and nothing that JSON escapes. */
function needlesOf(options: SearchOptions, words: readonly string[]): Needles {
  const { base, architecture, kind, component, license } = options;
  const asked = [...words, base, architecture, kind, component, license].filter((one) => one !== undefined);
  const ascii = asked.filter((one) => /^[\x20-\x7e]+$/.test(one) && !/["\\]/.test(one));
  const [longest = "", ...others] = ascii.map((one) => one.toLowerCase()).sort((a, b) => b.length - a.length);
  return { pattern: new RegExp(longest.replace(/[.*+?^${}()|[\]]/g, "\\$&"), "gi"), others };
}

/** Text is looked at in pieces that stay in the processor's cache; each ends with a row. */
const PIECE = 1 << 14;

function* rowsWith(bytes: Uint8Array, needles: Needles, path: string): Generator<SearchRow> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let start = 0; start < buffer.length; ) {
    const newline = buffer.indexOf(10, Math.min(start + PIECE, buffer.length - 1));
    const end = newline === -1 ? buffer.length : newline + 1;
    yield* rowsOfPiece(buffer.subarray(start, end), needles, path);
    start = end;
  }
}

function* rowsOfPiece(piece: Buffer, { pattern, others }: Needles, path: string): Generator<SearchRow> {
  const text = piece.toString("latin1");
  pattern.lastIndex = 0;
  for (let hit = pattern.exec(text); hit !== null; hit = pattern.exec(text)) {
    const start = text.lastIndexOf("\n", hit.index - 1) + 1;
    const end = text.indexOf("\n", hit.index);
    const stop = end === -1 ? text.length : end;
    const row = others.length === 0 ? "" : text.slice(start, stop).toLowerCase();
    if (stop > start && others.every((one) => row.includes(one)))
      yield parseRow(piece.toString("utf8", start, stop), path);
    if (stop + 1 >= text.length) return;
    pattern.lastIndex = stop + 1;
  }
}

function fits(row: SearchRow, options: SearchOptions, words: readonly string[]): boolean {
  const { base, architecture, kind, component, license, maxBytes } = options;
  if (row.yanked) return false;
  if (base !== undefined && !isBase(row.base.model, base)) return false;
  if (architecture !== undefined && row.base.architecture !== architecture) return false;
  if (kind !== undefined && !row.kinds.includes(kind)) return false;
  if (component !== undefined && !row.components.includes(component)) return false;
  if (license !== undefined && row.license.toLowerCase() !== license.toLowerCase()) return false;
  if (maxBytes !== undefined && row.bytes > maxBytes) return false;
  if (words.length === 0) return true;
  const texts = [row.name, row.summary, ...row.tags, row.base.model ?? "", ...row.kinds, ...row.components];
  const all = texts.join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

function isBase(model: string | null, asked: string): boolean {
  const [have, want] = [(model ?? "").toLowerCase(), asked.toLowerCase()];
  return have === want || have.endsWith(`/${want}`);
}
