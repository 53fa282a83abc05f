/** What the files of a bundle must be to one another, checked on a folder that holds them: before packing and after unpacking. */
import { join } from "node:path";
import { isKeyFile, MAX_JSON_BYTES, manifestFileName, pyveneFileName, signatureFileName } from "../artefact/folder.ts";
import { readFormat1 } from "../artefact/format1.ts";
import { parsePyveneConfig } from "../artefact/pyvene-config.ts";
import { keyFileName } from "../artefact/pyvene-keys.ts";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { readTorchFile } from "../formats/torch-file.ts";
import { type Manifest, tensorsFileName } from "../spec/manifest.ts";
import type { FileDigest } from "./artefact-files.ts";
import { sizeLimit } from "./bundle-names.ts";
import { MAX_SIGNATURE_BYTES, openSignature } from "./signing-envelope.ts";
import { resourceFault } from "./signing-files.ts";

/**
 * Reads the artefact in full. Its tensors have the manifest's digest; pyvene's copies are named by config.json and hold tensors
 * and no code; a signature, whoever made it, is about these very files. `name` is for messages. Throws `bundle-invalid` and what reading them throws.
 */
export async function checkContent(folder: string, files: readonly FileDigest[], name = folder): Promise<Manifest> {
  const names = new Set(files.map((file) => file.name));
  if (!names.has(manifestFileName)) {
    throw contentFault(name, `there is no ${manifestFileName}`, "vene convert makes one of what pyvene saved");
  }
  const { manifest } = await readFormat1(folder);
  for (const file of files) {
    const limit = sizeLimit(file.name, manifest.files[tensorsFileName].size);
    if (file.size > limit) throw contentFault(name, `${file.name} has ${file.size} bytes, more than ${limit}`);
  }
  await checkPyvene(folder, names, name);
  if (names.has(signatureFileName)) await checkSigned(folder, files, name);
  return manifest;
}

async function checkPyvene(folder: string, names: ReadonlySet<string>, name: string): Promise<void> {
  const copies = [...names].filter(isKeyFile);
  if (copies.length === 0 && !names.has(pyveneFileName)) return;
  const path = join(folder, pyveneFileName);
  const config = parsePyveneConfig(parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path }), path);
  const named = new Set(config.interventions.flatMap(({ keys }) => Object.values(keys).map(keyFileName)));
  for (const copy of copies) {
    if (!named.has(copy)) throw contentFault(name, `${pyveneFileName} does not name ${copy}`, "remove it");
    await withFile(join(folder, copy), readTorchFile);
  }
}

async function checkSigned(folder: string, files: readonly FileDigest[], name: string): Promise<void> {
  const path = join(folder, signatureFileName);
  const { resources } = openSignature(await readSmallFile(path, MAX_SIGNATURE_BYTES), path);
  const fault = resourceFault(resources, files);
  if (fault !== undefined)
    throw contentFault(name, `${signatureFileName} is of other files: ${fault}`, "sign it again");
}

function contentFault(name: string, what: string, hint?: string): VeneError {
  return new VeneError("bundle-invalid", `${name} cannot be a bundle: ${what}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { name },
  });
}
