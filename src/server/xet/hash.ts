/** Xet's way of writing 32-byte hashes: four u64, each stored little-endian and printed as 16 hex digits. */

/** The hash string of 32 bytes. A sha256 inside a shard is stored so that this gives its usual hex form. */
export function hashString(bytes: Uint8Array): string {
  return Buffer.from(bytes).swap64().toString("hex");
}

/** True for 64 lower-case hex digits: the only form that may become part of a file name. */
export function isHashString(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
