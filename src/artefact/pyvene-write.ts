/** Writes an artefact as a folder that pyvene's IntervenableModel.load opens: config.json and intkey_*.bin. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import type { JsonValue } from "../formats/json.ts";
import { encodeTorchFile } from "../formats/torch-encode.ts";
import type { Intervention } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import { pyveneComponentOf } from "../spec/sites.ts";
import { formatTokensPolicy, pyveneDefaultTokens } from "../spec/tokens.ts";
import { type Artefact, tensorOf } from "./artefact.ts";
import { pyveneFileName, writeArtefactFolder } from "./folder.ts";
import type { FileContents } from "./format1.ts";
import { pythonJson } from "./python-json.ts";
import { type JsonObject, type PyveneConfig, parsePyveneConfig } from "./pyvene-config.ts";
import { keyFileName, keySpellings } from "./pyvene-keys.ts";
import { newConfig, unwritable } from "./pyvene-new-config.ts";

/**
 * The files pyvene loads. If the artefact came from pyvene and still says the same, its config.json goes back unchanged under
 * its own keys; otherwise a new one is written that every release from 0.0.7 on reads (13 fields; file names as 0.1.7 and later
 * spell them). pyvene has no strength: vectors are written multiplied by `strength.default`. It has no tokens policy either;
 * a notice says what to pass to generate. Throws `pyvene-unwritable` naming the first intervention that pyvene cannot take.
 */
export function pyveneFiles(artefact: Artefact): { files: FileContents; notices: string[] } {
  const { interventions } = artefact.manifest;
  for (const intervention of interventions) checkStrength(intervention);
  const { config, keys } = originalConfig(artefact) ?? newConfig(artefact);
  const files: FileContents = new Map([[pyveneFileName, pythonJson(config)]]);
  for (const [index, intervention] of interventions.entries()) {
    const state = stateOf(artefact, intervention);
    if (state === undefined) continue;
    const key = keys[index]!;
    files.set(keyFileName(key), encodeTorchFile(state, { ordered: true, root: `intkey_${key}` }));
  }
  return { files, notices: noticesOf(interventions) };
}

/** Writes {@link pyveneFiles} and nothing else into a folder, all or nothing. Throws `pyvene-unwritable`, `write-failed`. */
export async function writePyvene(folder: string, artefact: Artefact): Promise<{ files: string[]; notices: string[] }> {
  const { files, notices } = pyveneFiles(artefact);
  await writeArtefactFolder(folder, files);
  return { files: [...files.keys()], notices };
}

function noticesOf(interventions: readonly Intervention[]): string[] {
  const notices: string[] = [];
  const scaled = interventions.find(({ kind, strength }) => isScaled(kind) && strength.default !== 1);
  if (scaled !== undefined) {
    notices.push(
      `for pyvene, vectors are written multiplied by their strength (${scaled.strength.default}): it has none`,
    );
  }
  const usual = formatTokensPolicy(pyveneDefaultTokens);
  const policy = interventions.map(({ tokens }) => formatTokensPolicy(tokens)).find((text) => text !== usual);
  if (policy !== undefined) {
    notices.push(
      `pyvene stores no tokens policy (here ${policy}): pass unit_locations and intervene_on_prompt to generate`,
    );
  }
  return notices;
}

function isScaled(kind: Intervention["kind"]): boolean {
  return kindSpecOf(kind).strength === "factor";
}

function checkStrength({ key, kind, strength }: Intervention): void {
  if (kindSpecOf(kind).strength === "blend" && strength.default !== 1) {
    throw unwritable(key, `its strength is ${strength.default}, and a ${kind} of pyvene has only 1`);
  }
}

/** The config.json that the artefact was read from, if the artefact still says what that says. */
function originalConfig({ manifest }: Artefact): { config: JsonValue; keys: readonly string[] } | undefined {
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
      const intervention = manifest.interventions[index]!;
      const spelled = keySpellings.some((spelling) => described.keys[spelling] === pyvene.keys[index]);
      const source = Object.hasOwn(intervention.tensors, "source");
      const hadSource =
        kindSpecOf(described.kind).constantSource === "never" ? source : (described.constantSource ?? source);
      return spelled && source === hadSource && essence(described) === essence(intervention);
    });
  return same ? { config, keys: pyvene.keys } : undefined;
}

type Essence = Pick<Intervention, "kind" | "site" | "maxUnits" | "dimension" | "subspacePartition" | "group" | "link">;

/** What a representation says, as text that is equal for equals. */
function essence({ kind, site, maxUnits, dimension, subspacePartition, group, link }: Essence): string {
  const where = "layer" in site ? [site.layer, site.component] : [pyveneComponentOf(site) ?? null];
  return JSON.stringify([kind, ...where, site.unit, maxUnits, dimension, subspacePartition, group, link]);
}

/**
 * The state dict of an intervention, or undefined where pyvene needs no file: the constant source, scaled, behind the int64
 * scalars embed_dim and interchange_dim where pyvene knows the width (it does not at module paths).
 */
function stateOf(artefact: Artefact, intervention: Intervention): Map<string, Tensor> | undefined {
  if (kindSpecOf(intervention.kind).constantSource === "never") return stateOfSourceless(intervention);
  const source = tensorOf(artefact, intervention, "source");
  if (source === undefined) return undefined;
  const state = new Map<string, Tensor>();
  const { dimension, site, strength } = intervention;
  const width = dimension ?? ("layer" in site ? source.shape.at(-1)! * intervention.maxUnits : null);
  if (typeof width === "number" && "layer" in site) {
    state.set("embed_dim", Tensor.int64([], [width]));
    state.set("interchange_dim", Tensor.int64([], [width]));
  }
  state.set("source_representation", scaled(source, isScaled(intervention.kind) ? strength.default : 1));
  return state;
}

/**
 * pyvene saves a collect as having a constant source but writes no file for it, and then cannot load its own folder: load opens
 * that file. So there is one, with an empty tensor that collect never looks at.
 */
function stateOfSourceless({ kind }: Intervention): Map<string, Tensor> | undefined {
  return kind === "collect" ? new Map([["source_representation", Tensor.float32([0], [])]]) : undefined;
}

/** The tensor times a factor, in its own dtype (float64 becomes float32). */
function scaled(tensor: Tensor, factor: number): Tensor {
  if (factor === 1) return tensor;
  const values = tensor.toFloat32().map((value) => value * factor);
  const product = Tensor.float32(tensor.shape, values);
  return tensor.dtype === "float16" || tensor.dtype === "bfloat16" ? product.to(tensor.dtype) : product;
}
