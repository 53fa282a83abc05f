/** Opens any folder vene knows as an artefact, and writes artefacts as folders that vene and pyvene both open. */
import { join } from "node:path";
import { readSmallFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import type { Artefact } from "./artefact.ts";
import { listFolder, MAX_JSON_BYTES, manifestFileName, pyveneFileName, writeArtefactFolder } from "./folder.ts";
import { type FileContents, format1Files, readFormat1 } from "./format1.ts";
import { prefixOf } from "./pyvene-config.ts";
import { readPyvene } from "./pyvene-read.ts";
import { pyveneFiles } from "./pyvene-write.ts";

export interface ReadArtefact {
  readonly artefact: Artefact;
  readonly source: "format1" | "pyvene";
  /** Sentences worth telling the user. */
  readonly notices: string[];
}

/**
 * Reads the artefact in a folder: format 1 if there is an intervention.json, else whatever pyvene saved. Throws `file-missing`
 * without the folder, `artefact-missing` naming what is there instead, and what the two readers throw.
 */
export async function readArtefact(folder: string): Promise<ReadArtefact> {
  const found = await listFolder(folder);
  if (found === undefined) {
    throw new VeneError("file-missing", `there is no folder ${folder}`, { details: { path: folder } });
  }
  if (found.includes(manifestFileName)) {
    return { artefact: await readFormat1(folder), source: "format1", notices: [] };
  }
  const hasConfig = found.includes(pyveneFileName);
  if (hasConfig && (await isPyvene(folder))) return { ...(await readPyvene(folder)), source: "pyvene" };
  const listed = found.slice(0, 20).join(", ");
  const shown = found.length === 0 ? "it is empty" : `it holds ${listed}${found.length > 20 ? ", ..." : ""}`;
  throw new VeneError("artefact-missing", `${folder} is no intervention: ${shown}`, {
    hint: hasConfig
      ? "its config.json lists no representations; if it is a model, give it as the model"
      : `an intervention has ${manifestFileName}, or ${pyveneFileName} and intkey_*.bin from pyvene`,
    details: { folder, found: found.slice(0, 20) },
  });
}

async function isPyvene(folder: string): Promise<boolean> {
  const path = join(folder, pyveneFileName);
  return prefixOf(parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path })) !== undefined;
}

/**
 * Writes an artefact as one folder, all or nothing: format 1 and a card, and unless `pyvene` is false also what pyvene loads.
 * What pyvene has no equivalent for becomes a notice and leaves its files out. Throws what writing format 1 throws.
 */
export async function writeArtefact(
  folder: string,
  artefact: Artefact,
  options: { readonly pyvene?: boolean } = {},
): Promise<{ files: string[]; notices: string[] }> {
  const { files, notices } = artefactFiles(artefact, options);
  await writeArtefactFolder(folder, files);
  return { files: [...files.keys()], notices };
}

/** The files {@link writeArtefact} writes, in memory: for archives and uploads. */
export function artefactFiles(
  artefact: Artefact,
  options: { readonly pyvene?: boolean } = {},
): { files: FileContents; notices: string[] } {
  const exported = (options.pyvene ?? true) ? tryPyvene(artefact) : { files: undefined, notices: [] };
  const files = format1Files(artefact, { pyvene: exported.files !== undefined });
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
