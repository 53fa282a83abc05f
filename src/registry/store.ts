/** The one interface to wherever a registry's tree lies: a folder, a dataset on a Hub, a web server. */
import type { FileHandle } from "node:fs/promises";
import { VeneError } from "../base/errors.ts";

/** What a file must be before any of its bytes are used. */
export interface WantedFile {
  /** In the registry's tree. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Bare hex digits. */
  readonly sha256: string;
}

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (count: number) => void;
}

/** A state of the tree. Of a Hub every read is of the same commit; elsewhere writers go in an order that readers can follow. */
export interface Snapshot {
  /** What a commit names as the state it changes. */
  readonly head: string;
  /** Sentences worth telling the user; grows with the reads. */
  readonly notices: readonly string[];
  /** A document, or undefined where there is none. Throws `registry-invalid` beyond `limit` bytes, `hub-*`. */
  read(path: string, limit: number): Promise<Uint8Array | undefined>;
  /** Writes a file into an empty handle. False where there is none. Throws `registry-integrity`, `hub-*`, `aborted`. */
  copy(file: WantedFile, handle: FileHandle, options: CopyOptions): Promise<boolean>;
}

export interface Commit {
  /** {@link Snapshot.head} of the state that was read. */
  readonly head: string;
  /** Files by path; what is there is replaced. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly message: string;
  /** Propose it in place of making it, where the store knows how. */
  readonly pullRequest?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface RegistryStore {
  /** As it is written in options, without a name: a folder, "hf:datasets/org/name", a URL. */
  readonly location: string;
  snapshot(signal?: AbortSignal): Promise<Snapshot>;
  /** Ends what a killed writer had decided, so that who is about to write sees all of it. */
  settle(signal?: AbortSignal): Promise<void>;
  /**
   * All files or none. Throws `registry-conflict` where the head is another by now, `registry-usage` where nothing can be
   * written. Gives the page of the pull request, if one was asked for.
   */
  commit(commit: Commit): Promise<string | undefined>;
}

export function tooLarge(what: string, limit: number): VeneError {
  return new VeneError("registry-invalid", `${what} has more than the ${limit} bytes allowed here`, {
    details: { what, limit },
  });
}

/** The head moved: read again, decide again. */
export function moved(location: string, expected: string, found: string): VeneError {
  return new VeneError("registry-conflict", `${location} changed while it was being changed`, {
    hint: "try again",
    details: { location, expected, found, retry: true },
  });
}
