/** How much one client may ask of the server. */

export interface HubLimits {
  /** Open connections. */
  readonly connections: number;
  /** Milliseconds until a request's headers must be complete. */
  readonly headersMs: number;
  /** Milliseconds that a connection may be silent in the middle of a request or an answer. */
  readonly idleMs: number;
  /** Milliseconds for a whole small body (JSON, forms) to arrive. */
  readonly smallBodyMs: number;
  /** Bytes of a JSON or form body. */
  readonly smallBodyBytes: number;
  /** Bytes of one line of a commit: a regular file in base64. */
  readonly commitLineBytes: number;
  /** Bytes of a whole commit. */
  readonly commitBytes: number;
  /** Files added and deleted in one commit. */
  readonly commitOperations: number;
  /** Folders deleted in one commit: each is looked for among all files. */
  readonly commitFolders: number;
  /** Files in one revision. */
  readonly filesPerRevision: number;
  /** Bytes of one large file. */
  readonly lfsBytes: number;
  /** Larger uploads are sent in parts of this many bytes. */
  readonly partBytes: number;
  /** Milliseconds that an upload URL is good for; what was begun and forgotten is swept after that. */
  readonly uploadMs: number;
}

const MiB = 1 << 20;

export const defaultLimits: HubLimits = {
  connections: 512,
  headersMs: 10_000,
  idleMs: 60_000,
  smallBodyMs: 60_000,
  smallBodyBytes: 16 * MiB,
  commitLineBytes: 24 * MiB,
  commitBytes: 1024 * MiB,
  commitOperations: 25_000,
  commitFolders: 1000,
  filesPerRevision: 100_000,
  lfsBytes: 64 * 1024 * MiB,
  partBytes: 16_000_000,
  uploadMs: 24 * 3_600_000,
};
