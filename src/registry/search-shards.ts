/** The rows that searches read: one per name, in shards, so that a change rewrites one small file. */
import { sha256Of } from "../base/digest.ts";
import {
  type IndexLine,
  type SearchIndex,
  type SearchRow,
  searchRowSchema,
  searchSchema,
} from "../spec/registry-index.ts";
import { documentBytes, parseDocument } from "./documents.ts";
import type { IndexFile } from "./index-file.ts";
import { searchPath, shardPath } from "./names.ts";
import { isPrerelease } from "./semver.ts";
import type { Snapshot } from "./store.ts";

const MAX_SHARD_BYTES = 1 << 28;
const MAX_SEARCH_BYTES = 1 << 20;

const begins = /^\{"name":"([a-z0-9._/-]+)"/;

/** What there is to search; undefined in a registry without a single name. */
export async function readSearch(snapshot: Snapshot): Promise<SearchIndex | undefined> {
  const bytes = await snapshot.read(searchPath, MAX_SEARCH_BYTES);
  return bytes === undefined ? undefined : parseDocument(searchSchema, bytes, searchPath);
}

/** Rows of a shard by name, as text. */
export async function readShard(snapshot: Snapshot, path: string): Promise<Map<string, string>> {
  const bytes = await snapshot.read(path, MAX_SHARD_BYTES);
  const rows = bytes === undefined ? [] : Buffer.from(bytes).toString("utf8").split("\n");
  return new Map(
    rows.filter((row) => row !== "").map((row) => [begins.exec(row)?.[1] ?? parseRow(row, path).name, row]),
  );
}

export function parseRow(row: string, path: string): SearchRow {
  return parseDocument(searchRowSchema, row, path);
}

/** The files that change with the lines of one name. */
export async function searchFiles(snapshot: Snapshot, index: IndexFile): Promise<Map<string, Uint8Array>> {
  const path = shardPath(index.name);
  const rows = await readShard(snapshot, path);
  rows.set(index.name, JSON.stringify(rowOf(index)));
  const shards = new Map((await readSearch(snapshot))?.shards.map((shard) => [shard.path, shard]));
  const bytes = shardBytes(rows);
  shards.set(path, { path, size: bytes.length, sha256: sha256Of(bytes) });
  return new Map([
    [path, bytes],
    [searchPath, searchBytes([...shards.values()])],
  ]);
}

/** Sorted by name, so that the same names give the same bytes. */
export function shardBytes(rows: ReadonlyMap<string, string>): Uint8Array {
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(sorted.map(([, row]) => `${row}\n`).join(""));
}

export function searchBytes(shards: SearchIndex["shards"]): Uint8Array {
  return documentBytes({ search: 1, shards: shards.toSorted((a, b) => (a.path < b.path ? -1 : 1)) });
}

/** By the highest stable version that was not withdrawn; else by the highest there is. */
export function rowOf(index: IndexFile): SearchRow {
  const { line, yanked } = newestOf(index);
  const { name, version, summary, license, tags, kinds, components, bytes } = line;
  const { model, architecture, layers, hiddenSize } = line.base;
  const base = { model, architecture, layers, hiddenSize };
  return { name, version, kinds, base, components, license, summary, tags, bytes, yanked };
}

function newestOf(index: IndexFile): { line: IndexLine; yanked: boolean } {
  const versions = index.descending;
  let open: IndexLine | undefined;
  for (const version of versions) {
    const line = index.line(version)!;
    if (line.yanked !== null) continue;
    if (!isPrerelease(version)) return { line, yanked: false };
    open ??= line;
  }
  return open === undefined ? { line: index.line(versions[0]!)!, yanked: true } : { line: open, yanked: false };
}
