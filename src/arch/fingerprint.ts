/** A fingerprint that tells checkpoints apart: config, tensor index, and the first bytes of every tensor. Cheap: no weight is read whole. */
import { createHash } from "node:crypto";
import type { Sha256 } from "../base/brands.ts";
import { withFile } from "../base/bytes.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Enough numbers of each tensor that training, merging or quantising changes some of them. */
const SAMPLE_BYTES = 256;

/** Config fields that change when the same model is saved again. */
const volatileFields = [
  "_name_or_path",
  "architectures",
  "auto_map",
  "dtype",
  "torch_dtype",
  "transformers_version",
  "use_cache",
];

/**
 * sha256 of the config without volatile fields and, per tensor in order of names, of name, dtype, shape and first bytes. The
 * same for one file and for shards; another for fine-tunes, other precisions and other configs. Throws `file-unreadable`.
 */
export async function fingerprintOf({ config, weights }: Checkpoint): Promise<Sha256> {
  const samples = new Map<string, Uint8Array>();
  const files = new Set([...weights.entries.values()].map(({ file }) => file));
  for (const file of files) {
    await withFile(file, async (source) => {
      for (const [name, entry] of weights.entries) {
        if (entry.file !== file) continue;
        samples.set(name, await source.read(entry.start, Math.min(entry.end, entry.start + SAMPLE_BYTES)));
      }
    });
  }
  const hash = createHash("sha256").update(config.canonical(volatileFields));
  for (const name of [...weights.entries.keys()].sort()) {
    const { dtype, shape } = weights.entries.get(name)!;
    hash.update(`\n${name} ${dtype} ${shape.join("x")}\n`).update(samples.get(name)!);
  }
  return hash.digest("hex") as Sha256;
}
