/** Opens any folder vene knows as an artefact, and writes artefacts as folders that vene and pyvene both open. */
import { join } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { systemCodeOf, VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import type { Artefact } from "./artefact.ts";
import type { CardOptions } from "./card.ts";
import { decodeCard, MAX_CARD_BYTES, tooLong } from "./card-text.ts";
import { rotationNotices } from "./check.ts";
import {
  cardFileName,
  listFolder,
  MAX_JSON_BYTES,
  manifestFileName,
  pyveneFileName,
  writeArtefactFolder,
} from "./folder.ts";
import { type FileContents, format1Files, readFormat1 } from "./format1.ts";
import { readPeft } from "./import-peft.ts";
import { adapterConfigName } from "./import-peft-config.ts";
import type { Multiply } from "./matrix.ts";
import { prefixOf } from "./pyvene-config.ts";
import { readPyvene } from "./pyvene-read.ts";
import { pyveneFiles } from "./pyvene-write.ts";

export interface ReadArtefact {
  readonly artefact: Artefact;
  readonly source: "format1" | "pyvene" | "peft";
  /** Sentences worth telling the user. */
  readonly notices: string[];
}

/**
 * Reads the artefact in a folder: format 1 if there is an intervention.json, else whatever pyvene saved, else PEFT's LoRA.
 * Throws `file-missing` without the folder, `artefact-missing` naming what is there instead, and what the readers throw. `multiply`
 * multiplies large matrices, which trained rotations of large models take.
 */
export async function readArtefact(folder: string, multiply?: Multiply): Promise<ReadArtefact> {
  const found = await listFolder(folder);
  if (found === undefined) {
    throw new VeneError("file-missing", `there is no folder ${folder}`, { details: { path: folder } });
  }
  if (found.includes(manifestFileName)) {
    return withRotationNotices({ artefact: await readFormat1(folder), source: "format1", notices: [] });
  }
  const hasConfig = found.includes(pyveneFileName);
  if (hasConfig && (await isPyvene(folder))) {
    return withRotationNotices({ ...(await readPyvene(folder, multiply)), source: "pyvene" });
  }
  if (found.includes(adapterConfigName)) return { ...(await readPeft(folder)), source: "peft" };
  const listed = found.slice(0, 20).join(", ");
  const shown = found.length === 0 ? "it is empty" : `it holds ${listed}${found.length > 20 ? ", ..." : ""}`;
  throw new VeneError("artefact-missing", `${folder} is no intervention: ${shown}`, {
    hint: hasConfig
      ? "its config.json lists no representations; if it is a model, give it as the model"
      : `an intervention has ${manifestFileName}, ${pyveneFileName} and intkey_*.bin from pyvene, or PEFT's ${adapterConfigName}`,
    details: { folder, found: found.slice(0, 20) },
  });
}

function withRotationNotices(read: ReadArtefact): ReadArtefact {
  const { manifest, tensors } = read.artefact;
  return { ...read, notices: [...read.notices, ...rotationNotices(manifest, tensors)] };
}

async function isPyvene(folder: string): Promise<boolean> {
  const path = join(folder, pyveneFileName);
  return prefixOf(parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path })) !== undefined;
}

/**
 * Writes an artefact as one folder, all or nothing: format 1 and a card, and unless `pyvene` is false also what pyvene loads.
 * What pyvene has no equivalent for becomes a notice and leaves its files out. Of a README.md that is there, the user's text
 * and front matter stay. Throws `card-invalid` where that cannot be done, and what writing format 1 throws.
 */
export async function writeArtefact(
  folder: string,
  artefact: Artefact,
  options: ArtefactFilesOptions = {},
): Promise<{ files: string[]; notices: string[] }> {
  const { files, notices } = artefactFiles(artefact, { before: await readCard(folder), ...options });
  await writeArtefactFolder(folder, files);
  return { files: [...files.keys()], notices };
}

/** `pyvene`: whether to add what pyvene loads, where possible (default true). The rest is about the card. */
export type ArtefactFilesOptions = Partial<CardOptions>;

/** The files {@link writeArtefact} writes, in memory: for archives and uploads. */
export function artefactFiles(
  artefact: Artefact,
  options: ArtefactFilesOptions = {},
): { files: FileContents; notices: string[] } {
  const exported = (options.pyvene ?? true) ? tryPyvene(artefact) : { files: undefined, notices: [] };
  const files = format1Files(artefact, { ...options, pyvene: exported.files !== undefined });
  for (const [fileName, content] of exported.files ?? []) files.set(fileName, content);
  return { files, notices: exported.notices };
}

function tryPyvene(artefact: Artefact): { files: FileContents | undefined; notices: string[] } {
  try {
    return pyveneFiles(artefact);
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "pyvene-unwritable") throw thrown;
    return { files: undefined, notices: [`without files for pyvene: ${thrown.message}`] };
  }
}

/** README.md of a folder, or undefined where there is none. Throws `card-invalid`, `file-unreadable`. */
export async function readCard(folder: string): Promise<string | undefined> {
  const path = join(folder, cardFileName);
  try {
    return await withFile(path, async (source) => {
      if (source.size > MAX_CARD_BYTES) throw tooLong(path, source.size);
      return decodeCard(await source.read(0, source.size), path);
    });
  } catch (thrown) {
    if (!(thrown instanceof VeneError)) throw thrown;
    if (thrown.code === "file-missing" || systemCodeOf(thrown.cause) === "ENOTDIR") return undefined;
    throw thrown;
  }
}
