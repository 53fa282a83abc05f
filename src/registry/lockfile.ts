/** interventions.lock.json: reading what names once resolved to, and noting it. */
import { writeFileAtomic } from "../base/atomic.ts";
import { readSmallFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { type LockedDirect, type LockedRelease, type Lockfile, lockfileSchema } from "../spec/registry-lockfile.ts";
import { documentBytes, parseDocument } from "./documents.ts";

/** In the current folder unless another path is given. */
export const lockfileName = "interventions.lock.json";

export type LockEntry = LockedRelease | LockedDirect;

const MAX_BYTES = 64 << 20;

/** Undefined where there is none. Throws `registry-invalid`, `file-unreadable`. */
export async function readLockfile(path: string): Promise<Lockfile | undefined> {
  try {
    return parseDocument(lockfileSchema, await readSmallFile(path, MAX_BYTES), path);
  } catch (thrown) {
    if (thrown instanceof VeneError && thrown.code === "file-missing") return undefined;
    throw thrown;
  }
}

/** What was noted for exactly this text. */
export function lockedAs(lockfile: Lockfile | undefined, text: string): LockEntry | undefined {
  const entries = lockfile?.interventions ?? {};
  return Object.hasOwn(entries, text) ? entries[text] : undefined;
}

/** Notes entries beside those that are there, in the order of their texts. Throws `write-failed` and what reading throws. */
export async function writeLockfile(path: string, entries: ReadonlyMap<string, LockEntry>): Promise<void> {
  const before = (await readLockfile(path))?.interventions ?? {};
  const all = Object.entries({ ...before, ...Object.fromEntries(entries) }).sort(([a], [b]) => (a < b ? -1 : 1));
  const bytes = documentBytes({ lockfile: 1, interventions: Object.fromEntries(all) });
  const known = await readSmallFile(path, MAX_BYTES).catch(() => undefined);
  if (known === undefined || !Buffer.from(known).equals(bytes)) await writeFileAtomic(path, bytes);
}

/** Throws `registry-integrity` where what was found is not what was noted. */
export function checkLocked(
  text: string,
  entry: LockEntry,
  files: readonly { readonly path: string; readonly sha256: string }[],
): void {
  const found = new Map(files.map(({ path, sha256 }) => [path, sha256]));
  for (const [path, sha256] of Object.entries(entry.files)) {
    if (found.get(path) === sha256) continue;
    throw new VeneError(
      "registry-integrity",
      `${path} of ${text} has the sha256 ${found.get(path) ?? "of no file"}; the lockfile says ${sha256}`,
      {
        hint: "it is not what was locked: do not use it, or remove the entry and install it again",
        details: { text, path, found: found.get(path), expected: sha256 },
      },
    );
  }
}
