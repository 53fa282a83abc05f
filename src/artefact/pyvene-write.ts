/** Writes an artefact as a folder that pyvene's IntervenableModel.load opens: config.json and intkey_*.bin. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { encodeTorchFile } from "../formats/torch-encode.ts";
import type { Intervention } from "../spec/intervention.ts";
import { pyveneComponentOf } from "../spec/sites.ts";
import type { Artefact } from "./artefact.ts";
import { pyveneFileName, writeArtefactFolder } from "./folder.ts";
import type { FileContents } from "./format1.ts";
import { pythonJson } from "./python-json.ts";
import { type JsonObject, type PyveneConfig, type PyveneIntervention, parsePyveneConfig } from "./pyvene-config.ts";
import { unsizedEras } from "./pyvene-eras.ts";
import { checkFit, fitNotices, originNotices } from "./pyvene-fit.ts";
import { keyFileName, keySpellings } from "./pyvene-keys.ts";
import { isTrained, layoutOf } from "./pyvene-layouts.ts";
import { newConfig, ranksOf } from "./pyvene-new-config.ts";
import { dimensionOf, writeState } from "./pyvene-state.ts";

/**
 * The files pyvene loads. If the artefact came from pyvene and still says the same, its config.json goes back unchanged under
 * its own keys; otherwise a new one is written that every release from 0.0.7 on reads (13 fields; 14 with autoencoders, for
 * 0.1.3 on; file names as 0.1.7 and later spell them). pyvene has no strength: vectors are written multiplied by
 * `strength.default`. It has no tokens policy either; notices say what it will not know. Throws `pyvene-unwritable` naming the
 * first intervention that pyvene cannot take, and why.
 */
export function pyveneFiles(artefact: Artefact): { files: FileContents; notices: string[] } {
  const { interventions } = artefact.manifest;
  const { config, keys, sized } = configOf(artefact);
  const files: FileContents = new Map([[pyveneFileName, pythonJson(config)]]);
  for (const [index, intervention] of interventions.entries()) {
    const state = writeState(artefact, intervention, sized);
    if (state === undefined) continue;
    const key = keys[index]!;
    files.set(keyFileName(key), encodeTorchFile(state, { ordered: true, root: `intkey_${key}` }));
  }
  return { files, notices: fitNotices(artefact) };
}

/** Writes {@link pyveneFiles} and nothing else into a folder, all or nothing. Throws `pyvene-unwritable`, `write-failed`. */
export async function writePyvene(folder: string, artefact: Artefact): Promise<{ files: string[]; notices: string[] }> {
  const { files, notices } = pyveneFiles(artefact);
  await writeArtefactFolder(folder, files);
  return { files: [...files.keys()], notices };
}

/** Throws `pyvene-unwritable`. */
function configOf(artefact: Artefact): { config: JsonValue; keys: readonly string[]; sized: boolean } {
  checkFit(artefact);
  return originalConfig(artefact) ?? { ...newConfig(artefact), sized: true };
}

/**
 * Whether pyvene can load what {@link pyveneFiles} would write, and all there is to say about it: the reason if it cannot, else
 * what it would get wrong unless told.
 */
export function pyveneFit(artefact: Artefact): { loadable: boolean; notices: string[] } {
  const origin = originNotices(artefact);
  try {
    configOf(artefact);
    return { loadable: true, notices: [...fitNotices(artefact), ...origin] };
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || thrown.code !== "pyvene-unwritable") throw thrown;
    return { loadable: false, notices: [thrown.message, ...origin] };
  }
}

/** The config.json that the artefact was read from, if the artefact still says what that says. */
function originalConfig(
  artefact: Artefact,
): { config: JsonValue; keys: readonly string[]; sized: boolean } | undefined {
  const { manifest } = artefact;
  const { pyvene } = manifest;
  if (pyvene === undefined) return undefined;
  const config = pyvene.config as JsonObject;
  let parsed: PyveneConfig;
  try {
    parsed = parsePyveneConfig(config);
  } catch (cause) {
    if (cause instanceof VeneError) return undefined;
    throw cause;
  }
  const same =
    parsed.mode === manifest.mode &&
    parsed.interventions.length === manifest.interventions.length &&
    parsed.interventions.every((described, index) => {
      const spelled = keySpellings.some((spelling) => described.keys[spelling] === pyvene.keys[index]);
      return spelled && describes(described, manifest.interventions[index]!, artefact);
    });
  return same ? { config, keys: pyvene.keys, sized: !unsizedEras.includes(parsed.era) } : undefined;
}

/** Whether a config's description of an intervention, with its tensors, is what pyvene must know of it. */
function describes(described: PyveneIntervention, intervention: Intervention, artefact: Artefact): boolean {
  const { kind } = intervention;
  const source = Object.hasOwn(intervention.tensors, "source");
  const constant = layoutOf(kind)?.constant === true || isTrained(kind);
  const sourceAgrees = constant || source === (described.constantSource ?? source);
  const { low_rank_dimension: rank, latent_dim: latents } = ranksOf(artefact, intervention);
  const ranksAgree = [
    [rank, described.lowRank],
    [latents, described.latents],
  ].every(([needed, given]) => needed === null || needed === given);
  // load takes the file's interchange_dim over the config's.
  const fromFile = described.dimension === null && isTrained(kind);
  const dimension = fromFile ? intervention.dimension : dimensionOf(kind, described.dimension);
  return (
    sourceAgrees &&
    ranksAgree &&
    described.kind === kind &&
    essence({ ...described, kind, dimension }) === essence(intervention)
  );
}

type Essence = Pick<Intervention, "kind" | "site" | "maxUnits" | "dimension" | "subspacePartition" | "group" | "link">;

/** What a representation says, as text that is equal for equals. */
function essence({ kind, site, maxUnits, dimension, subspacePartition, group, link }: Essence): string {
  const where = "layer" in site ? [site.layer, site.component] : [pyveneComponentOf(site) ?? null];
  return JSON.stringify([kind, ...where, site.unit, maxUnits, dimension, subspacePartition, group, link]);
}
