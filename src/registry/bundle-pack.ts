/** Packs an artefact's folder as one .tgz whose bytes depend on its files alone. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Header, Pax } from "tar";
import { writeFileWith } from "../base/atomic.ts";
import type { Sha256 } from "../base/brands.ts";
import { withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import type { Manifest } from "../spec/manifest.ts";
import { artefactFileDigests, type FileDigest } from "./artefact-files.ts";
import { checkContent } from "./bundle-content.ts";
import { storedGzip } from "./bundle-gzip.ts";
import { nameFault } from "./bundle-names.ts";

export interface PackedBundle {
  readonly manifest: Manifest;
  /** Bytes of the bundle. */
  readonly size: number;
  readonly sha256: Sha256;
  /** What is in it, in order. */
  readonly files: readonly FileDigest[];
  /** Sentences worth telling the user. */
  readonly notices: readonly string[];
}

const BLOCK = 512;
const CHUNK = 1 << 20;

/**
 * Writes the artefact in `folder` to `file`: a gzip'd tar of its own files and no others, by name, without times or owners. The
 * same files give the same bytes everywhere. Throws `bundle-invalid` for a link, for a file that is none of the artefact's but
 * named like one, and for a model.sig over other bytes; `file-unreadable` for what changes meanwhile; `write-failed`; and what
 * reading the artefact throws.
 */
export async function packBundle(folder: string, file: string): Promise<PackedBundle> {
  const { files, others } = await artefactFileDigests(folder);
  for (const { name } of files) {
    const fault = nameFault(name);
    if (fault !== undefined) throw new VeneError("bundle-invalid", `${join(folder, name)} has ${fault}`);
  }
  const manifest = await checkContent(folder, files);
  const hash = createHash("sha256");
  let size = 0;
  await writeFileWith(file, async (handle) => {
    for await (const piece of storedGzip(archive(folder, files))) {
      hash.update(piece);
      size += piece.length;
      await handle.writeFile(piece);
    }
  });
  const shown = `${others.slice(0, 8).join(", ")}${others.length > 8 ? ", ..." : ""}`;
  return {
    manifest,
    size,
    sha256: hash.digest("hex") as Sha256,
    files,
    notices: others.length === 0 ? [] : [`not packed: ${shown}`],
  };
}

async function* archive(folder: string, files: readonly FileDigest[]): AsyncGenerator<Uint8Array> {
  for (const file of files) {
    yield headerOf(file);
    yield* content(join(folder, file.name), file);
    yield Buffer.alloc((BLOCK - (file.size % BLOCK)) % BLOCK);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** ustar, after a pax header where a name is longer than ustar takes. */
function headerOf({ name, size }: FileDigest): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  const fields = { path: name, size, mode: 0o644, type: "File", mtime: new Date(0) } as const;
  const needsPax = new Header(fields).encode(block, 0);
  return needsPax ? Buffer.concat([new Pax({ path: name, size }).encode(), block]) : block;
}

async function* content(path: string, { size, sha256 }: FileDigest): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  for (let at = 0; at < size; at += CHUNK) {
    const piece = await withFile(path, async (source) => {
      if (source.size !== size) throw changed(path);
      return source.read(at, Math.min(at + CHUNK, size));
    });
    hash.update(piece);
    yield piece;
  }
  if (hash.digest("hex") !== sha256) throw changed(path);
}

function changed(path: string): VeneError {
  return new VeneError("file-unreadable", `${path} changed while it was packed`, {
    hint: "pack again",
    details: { path },
  });
}
