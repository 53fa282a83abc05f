/** Unpacks a bundle into a folder that appears whole or not at all, after everything in it was checked. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { fillArtefactFolder, manifestFileName } from "../artefact/folder.ts";
import type { Sha256 } from "../base/brands.ts";
import { sha256OfFile } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { type Manifest, parseManifest, tensorsFileName } from "../spec/manifest.ts";
import { byName, type FileDigest } from "./artefact-files.ts";
import { checkContent } from "./bundle-content.ts";
import { sizeLimit } from "./bundle-names.ts";
import { type BundleEntry, type EntrySink, readBundle } from "./bundle-read.ts";

export interface UnpackOptions {
  /** What the bundle must hold, as a registry or a lockfile says; else what its own manifest says. */
  readonly files?: readonly FileDigest[] | undefined;
  /** Digest of the bundle itself, 64 lower-case hex digits, where it is known. */
  readonly sha256?: string | undefined;
}

export interface UnpackedBundle {
  readonly manifest: Manifest;
  readonly files: readonly FileDigest[];
}

/**
 * Unpacks `file` as the folder `folder`. A first pass over the archive writes nothing and ends with its manifest; a second one
 * writes into a folder beside, where sizes, digests and content are checked before it is renamed. A folder that holds an artefact
 * is replaced, one that holds anything else is left alone. Throws `bundle-invalid`, `write-failed`, and what reading an artefact
 * throws: `manifest-invalid`, `artefact-tensor`, `pickle-refused` and others.
 */
export async function unpackBundle(
  file: string,
  folder: string,
  { files: expected, sha256 }: UnpackOptions = {},
): Promise<UnpackedBundle> {
  if (sha256 !== undefined) await checkDigest(file, sha256);
  const sizes = await survey(file);
  let unpacked: UnpackedBundle | undefined;
  await fillArtefactFolder(folder, async (staging) => {
    const files = await extract(file, staging, sizes);
    if (expected !== undefined) checkExpected(file, files, expected);
    unpacked = { manifest: await checkContent(staging, files, file), files };
  });
  return unpacked!;
}

/** Names and sizes of what is in the archive, which agree with the manifest in it. */
async function survey(file: string): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  const pieces: Uint8Array[] = [];
  await readBundle(file, async ({ name, size }) => {
    const limit = sizeLimit(name, Number.MAX_SAFE_INTEGER);
    if (size > limit) throw fault(file, `${name} has ${size} bytes, more than ${limit}`);
    sizes.set(name, size);
    return name === manifestFileName
      ? { write: async (piece) => void pieces.push(piece), end: async () => {} }
      : undefined;
  });
  if (!sizes.has(manifestFileName)) throw fault(file, `there is no ${manifestFileName}`);
  const name = `${manifestFileName} in ${file}`;
  const manifest = parseManifest(parseJson(Buffer.concat(pieces), { name }), name);
  const { size } = manifest.files[tensorsFileName];
  const found = sizes.get(tensorsFileName);
  if (found !== size) {
    const what = found === undefined ? "is missing" : `has ${found} bytes`;
    throw fault(file, `${tensorsFileName} ${what}, and its manifest says ${size}`);
  }
  return sizes;
}

/** Writes what the survey saw, and nothing that came into the archive since. */
async function extract(file: string, staging: string, sizes: ReadonlyMap<string, number>): Promise<FileDigest[]> {
  const files: FileDigest[] = [];
  const handles = new Set<FileHandle>();
  const sink = async ({ name, size }: BundleEntry): Promise<EntrySink> => {
    if (sizes.get(name) !== size) throw fault(file, "it changed while it was unpacked");
    const hash = createHash("sha256");
    const handle = await open(join(staging, name), "wx");
    handles.add(handle);
    return {
      async write(piece) {
        hash.update(piece);
        await handle.writeFile(piece);
      },
      async end() {
        await handle.sync();
        await handle.close();
        handles.delete(handle);
        files.push({ name, size, sha256: hash.digest("hex") as Sha256 });
      },
    };
  };
  try {
    await readBundle(file, sink);
  } finally {
    for (const handle of handles) await handle.close();
  }
  if (files.length !== sizes.size) throw fault(file, "it changed while it was unpacked");
  return files.sort(byName);
}

async function checkDigest(file: string, expected: string): Promise<void> {
  const sha256 = await sha256OfFile(file);
  if (sha256 !== expected) throw fault(file, `its sha256 is ${sha256}, expected ${expected}`);
}

function checkExpected(file: string, files: readonly FileDigest[], expected: readonly FileDigest[]): void {
  const wanted = new Map(expected.map((one) => [one.name, one]));
  for (const { name, size, sha256 } of files) {
    const one = wanted.get(name);
    if (one === undefined) throw fault(file, `${name} is in it and should not be`);
    if (one.size !== size || one.sha256 !== sha256) {
      throw fault(file, `${name} has ${size} bytes, sha256 ${sha256}; expected ${one.size}, ${one.sha256}`);
    }
    wanted.delete(name);
  }
  const [missing] = wanted.keys();
  if (missing !== undefined) throw fault(file, `${missing} is missing`);
}

function fault(file: string, what: string): VeneError {
  return new VeneError("bundle-invalid", `${file} does not hold what it should: ${what}`, {
    hint: "fetch it again, or pack it again from the folder it was made of",
    details: { path: file },
  });
}
