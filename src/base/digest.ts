/** sha256 of bytes and of files, streaming. */
import { createHash } from "node:crypto";
import type { Sha256 } from "./brands.ts";
import { withFile } from "./bytes.ts";

const CHUNK = 1 << 20;

export function sha256Of(bytes: Uint8Array | string): Sha256 {
  return createHash("sha256").update(bytes).digest("hex") as Sha256;
}

/** Digest of a whole file without holding it in memory. */
export async function sha256OfFile(path: string): Promise<Sha256> {
  return withFile(path, async (source) => {
    const hash = createHash("sha256");
    for (let at = 0; at < source.size; at += CHUNK) {
      hash.update(await source.read(at, Math.min(at + CHUNK, source.size)));
    }
    return hash.digest("hex") as Sha256;
  });
}
