/** The small text that stands in a tree for a large file, as git-lfs has it. */
import type { LfsObject } from "../lfs-store.ts";

/** No pointer is longer. */
export const MAX_POINTER_BYTES = 200;

const pointer =
  /^version https:\/\/git-lfs\.github\.com\/spec\/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9]\d{0,14})\n$/;

export function encodePointer({ sha256, size }: LfsObject): Buffer {
  return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`);
}

/** undefined for content that is something else. */
export function decodePointer(content: Buffer): LfsObject | undefined {
  const found = content.length > MAX_POINTER_BYTES ? null : pointer.exec(content.toString("latin1"));
  return found === null ? undefined : { sha256: found[1]!, size: Number(found[2]) };
}
