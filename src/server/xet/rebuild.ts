/** A file from the chunk ranges that a shard names, decoded one chunk at a time. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../../base/errors.ts";
import { withHandle } from "../scratch.ts";
import { BoundedMap } from "../store/bounded-map.ts";
import { invalidXet } from "./invalid.ts";
import type { ShardTerm } from "./shard.ts";
import { indexXorb, readChunk, type XorbIndex } from "./xorb.ts";

/** Xorb indices kept while a file is rebuilt: at most 64 kB each. */
const INDICES = 64;

/**
 * The content of `terms` in order, from the xorbs in `folder`. Throws HttpError 400 for a xorb that is not there, a range
 * outside it, a chunk that does not decode, or a range that decodes to another size than the term says.
 */
export async function* rebuildFile(folder: string, terms: Iterable<ShardTerm>): AsyncGenerator<Uint8Array> {
  const indices = new BoundedMap<string, XorbIndex>(INDICES);
  for (const term of terms) {
    const path = join(folder, term.xorb);
    const index = await indices.getOrMake(term.xorb, () => readIndex(path));
    yield* decodeTerm(path, index, term);
  }
}

async function readIndex(path: string): Promise<XorbIndex> {
  try {
    return await withHandle(path, "r", async (file) => indexXorb(file, (await file.stat()).size));
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") throw invalidXet("the shard names a xorb that was not uploaded here");
    throw cause;
  }
}

async function* decodeTerm(path: string, index: XorbIndex, term: ShardTerm): AsyncGenerator<Uint8Array> {
  const chunks = index.length - 1;
  if (term.end > chunks)
    throw invalidXet(`shard term covers chunks ${term.start} to ${term.end} of a xorb of ${chunks}`);
  const file = await open(path);
  try {
    let size = 0;
    for (let number = term.start; number < term.end; number++) {
      const bytes = await readChunk(file, index, number);
      size += bytes.length;
      yield bytes;
    }
    if (size !== term.bytes) throw invalidXet(`shard term of ${term.bytes} bytes decodes to ${size}`);
  } finally {
    await file.close();
  }
}
