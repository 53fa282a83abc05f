/** Format 1 on disk: intervention.json, intervention.safetensors and a card, written whole and read strictly. */
import { join } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { parseJson } from "../formats/json.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { type Manifest, parseManifest, tensorsFileName } from "../spec/manifest.ts";
import { type Artefact, encodeArtefact } from "./artefact.ts";
import { type CardOptions, renderCard } from "./card.ts";
import { checkTensors } from "./check.ts";
import { cardFileName, MAX_JSON_BYTES, manifestFileName, writeArtefactFolder } from "./folder.ts";

/** Contents of a folder's files by name. */
export type FileContents = Map<string, Uint8Array | string>;

/** The manifest alone; the tensors are not looked at. Throws `file-missing`, `json-invalid`, `manifest-invalid`, `format-newer`. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, manifestFileName);
  return parseManifest(parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path }), path);
}

/**
 * Reads a folder in format 1. Every tensor that the manifest names must be there with a shape that fits, none besides, and
 * size and digest of their file must be the manifest's. Throws what {@link readManifest} throws, `artefact-tensor`,
 * `tensor-invalid` and `safetensors-invalid`.
 */
export async function readFormat1(folder: string): Promise<Artefact> {
  const manifest = await readManifest(folder);
  const path = join(folder, tensorsFileName);
  const expected = manifest.files[tensorsFileName];
  const tensors = await withFile(path, async (source): Promise<Map<string, Tensor>> => {
    if (source.size !== expected.size) throw changed(path, "size", source.size, expected.size);
    const sha256 = await sha256OfFile(path);
    if (sha256 !== expected.sha256) throw changed(path, "sha256", sha256, expected.sha256);
    return readSafetensors(source);
  });
  checkTensors(manifest, tensors);
  return { manifest, tensors };
}

/**
 * Writes an artefact as a folder in format 1, all or nothing; a folder that holds an artefact is replaced, one that holds
 * anything else is left alone. Throws `write-failed`, and what {@link encodeArtefact} throws for a faulty artefact.
 */
export async function writeFormat1(folder: string, artefact: Artefact): Promise<void> {
  await writeArtefactFolder(folder, format1Files(artefact, { pyvene: false }));
}

/** The files of format 1, with a card that says what `options` tells it. */
export function format1Files(
  { manifest: { format: _format, files: _files, ...draft }, tensors }: Artefact,
  options: CardOptions,
): FileContents {
  const { artefact, bytes } = encodeArtefact(draft, tensors);
  return new Map<string, Uint8Array | string>([
    [manifestFileName, `${JSON.stringify(artefact.manifest, null, 2)}\n`],
    [tensorsFileName, bytes],
    [cardFileName, renderCard(artefact.manifest, options)],
  ]);
}

function changed(path: string, what: string, found: string | number, expected: string | number): VeneError {
  return new VeneError("artefact-tensor", `${path} has the ${what} ${found}, the manifest says ${expected}`, {
    hint: "the file was changed or damaged after it was saved; fetch or save the artefact again",
    details: { path, found, expected },
  });
}
