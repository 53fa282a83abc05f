/** The registry's log: a chain of lines, each naming the digest of the one before, so that history cannot be rewritten unseen. */
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { type LogEntry, type LogHead, logEntrySchema, logHeadSchema, type Operation } from "../spec/registry-log.ts";
import type { Digest } from "../spec/registry-names.ts";
import { documentBytes, parseDocument } from "./documents.ts";
import { logHeadPath, logPath } from "./names.ts";
import type { Snapshot } from "./store.ts";

const ZERO: Digest = `sha256:${"0".repeat(64)}`;
const MAX_SEGMENT_BYTES = 64 << 20;

/** Before the first entry. */
export const emptyLog: LogHead = { seq: 0, hash: ZERO };

/** What an operation says; the rest of its line is the chain's. */
export type LogRecord = Omit<LogEntry, "seq" | "prev" | "op"> & { readonly op: Operation };

export async function readLogHead(snapshot: Snapshot): Promise<LogHead> {
  const bytes = await snapshot.read(logHeadPath, 4096);
  return bytes === undefined ? emptyLog : parseDocument(logHeadSchema, bytes, logHeadPath);
}

/** The files that a registry gets with further entries. */
export async function appended(
  snapshot: Snapshot,
  head: LogHead,
  records: readonly LogRecord[],
): Promise<Map<string, Uint8Array>> {
  const texts = new Map<string, string>();
  let { seq, hash } = head;
  for (const record of records) {
    const { op, ...rest } = record;
    const row = JSON.stringify({ seq: seq + 1, prev: hash, op, ...rest });
    seq++;
    hash = hashOf(row);
    const path = logPath(seq);
    // A line beyond the head was never decided.
    const before =
      texts.get(path) ??
      (await rowsOf(snapshot, path))
        .slice(0, (seq - 1) % 1000)
        .map(ended)
        .join("");
    texts.set(path, before + ended(row));
  }
  const files = new Map<string, Uint8Array>([...texts].map(([path, text]) => [path, Buffer.from(text)]));
  return files.set(logHeadPath, documentBytes({ seq, hash }));
}

/** Entries after `known` up to `head`, checked to be one chain between the two. Throws `registry-integrity`. */
export async function entriesBetween(snapshot: Snapshot, known: LogHead, head: LogHead): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  if (head.seq < known.seq) throw broken(`ends at entry ${head.seq}; it once had ${known.seq}`, known, head);
  let { hash } = known;
  let path = "";
  let rows: readonly string[] = [];
  for (let seq = known.seq + 1; seq <= head.seq; seq++) {
    if (logPath(seq) !== path) {
      path = logPath(seq);
      rows = await rowsOf(snapshot, path);
    }
    const row = rows[(seq - 1) % 1000];
    if (row === undefined) throw broken(`lacks entry ${seq} of ${head.seq}`, known, head);
    const entry = parseDocument(logEntrySchema, row, `${path}, entry ${seq}`);
    if (entry.seq !== seq || entry.prev !== hash) {
      throw broken(`forks: entry ${seq} does not follow the one before it`, known, head);
    }
    hash = hashOf(row);
    entries.push(entry);
  }
  if (hash !== head.hash) throw broken(`has another entry ${head.seq} than its head says`, known, head);
  return entries;
}

async function rowsOf(snapshot: Snapshot, path: string): Promise<string[]> {
  const bytes = await snapshot.read(path, MAX_SEGMENT_BYTES);
  return bytes === undefined ? [] : Buffer.from(bytes).toString("utf8").split("\n").slice(0, -1);
}

function hashOf(row: string): Digest {
  return `sha256:${sha256Of(row)}`;
}

function ended(row: string): string {
  return `${row}\n`;
}

function broken(what: string, known: LogHead, head: LogHead): VeneError {
  return new VeneError("registry-integrity", `the registry's log ${what}`, {
    hint: "somebody rewrote the registry's history, or it was restored from a backup: ask who runs it before going on",
    details: { known, head },
  });
}
