/** Hashes an artefact's folder again and compares it with everything that says what its files must be. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { signatureFileName } from "../artefact/folder.ts";
import { readManifest } from "../artefact/format1.ts";
import type { Sha256 } from "../base/brands.ts";
import { readSmallFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { tensorsFileName } from "../spec/manifest.ts";
import { artefactFileDigests, byName, type FileDigest } from "./artefact-files.ts";
import { MAX_SIGNATURE_BYTES, openSignature } from "./signing-envelope.ts";
import type { SignedFile } from "./signing-statement.ts";

/** verified: as expected; changed, missing: not so; unlisted: nothing says what it must be. */
export type FileState = "verified" | "changed" | "missing" | "unlisted";

export interface InstalledFile {
  readonly name: string;
  readonly state: FileState;
  /** What was found; absent where the file is missing. */
  readonly sha256: Sha256 | undefined;
  readonly size: number | undefined;
  /** What it must be, where that is known. */
  readonly expected: string | undefined;
}

export interface InstalledReport {
  readonly folder: string;
  /** The artefact's name. */
  readonly name: string;
  readonly files: readonly InstalledFile[];
  /** No file is changed or missing. */
  readonly intact: boolean;
}

/**
 * Hashes every file of the artefact in `folder`. What they must be say `files` (a lockfile's or a registry's), else model.sig (by
 * whom it is, `verifySignature` says), else the manifest, which knows its tensors. Throws `manifest-invalid` and others for a
 * manifest that cannot be read, `bundle-invalid` for links.
 */
export async function verifyInstalled(
  folder: string,
  { files: given }: { readonly files?: readonly SignedFile[] } = {},
): Promise<InstalledReport> {
  const manifest = await readManifest(folder);
  const found = new Map((await artefactFileDigests(folder)).files.map((file) => [file.name, file]));
  const expected = new Map([[tensorsFileName, manifest.files[tensorsFileName].sha256]]);
  for (const { name, sha256 } of given ?? (await signedFiles(folder, found))) expected.set(name, sha256);
  const names = [...new Set([...found.keys(), ...expected.keys()])].map((name) => ({ name })).sort(byName);
  const files: InstalledFile[] = [];
  for (const { name } of names) {
    const file = found.get(name) ?? (await otherFile(folder, name));
    const wanted = expected.get(name);
    files.push({ name, state: stateOf(file, wanted), sha256: file?.sha256, size: file?.size, expected: wanted });
  }
  const intact = files.every(({ state }) => state === "verified" || state === "unlisted");
  return { folder, name: manifest.name, files, intact };
}

function stateOf(file: FileDigest | undefined, expected: string | undefined): FileState {
  if (file === undefined) return "missing";
  if (expected === undefined) return "unlisted";
  return file.sha256 === expected ? "verified" : "changed";
}

async function signedFiles(folder: string, found: ReadonlyMap<string, FileDigest>): Promise<readonly SignedFile[]> {
  if (!found.has(signatureFileName)) return [];
  const path = join(folder, signatureFileName);
  return openSignature(await readSmallFile(path, MAX_SIGNATURE_BYTES), path).resources;
}

/** A file that is listed and none of an artefact's own: a licence. */
async function otherFile(folder: string, name: string): Promise<FileDigest | undefined> {
  const path = join(folder, name);
  const status = await stat(path).catch(() => undefined);
  if (!status?.isFile()) return undefined;
  return { name, size: status.size, sha256: await sha256OfFile(path) };
}
