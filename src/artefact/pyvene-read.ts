/** Reads a folder that pyvene's IntervenableModel.save wrote, of any release, as an artefact. Nothing of it is executed. */
import { basename, join, resolve } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { parseJson } from "../formats/json.ts";
import { readTorchFile } from "../formats/torch-file.ts";
import { type Intervention, usualStrength } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import { formatSite } from "../spec/sites.ts";
import { pyveneDefaultTokens } from "../spec/tokens.ts";
import { type Artefact, type ManifestDraft, makeArtefact } from "./artefact.ts";
import { listFolder, MAX_JSON_BYTES, pyveneFileName } from "./folder.ts";
import { type JsonObject, type PyveneConfig, type PyveneIntervention, parsePyveneConfig } from "./pyvene-config.ts";
import { keyFileName, keySpellings } from "./pyvene-keys.ts";

/**
 * The artefact in a folder of pyvene's: config.json and intkey_*.bin, whatever release wrote them (see pyvene-eras.ts and
 * pyvene-keys.ts). Tokens policy and strength are what pyvene does, the base is unknown because pyvene does not record it, and
 * config.json is kept so that the way back is lossless. Throws `pyvene-config`, `pyvene-class`, `artefact-tensor`,
 * `tensor-invalid` and what reading the files throws.
 */
export async function readPyvene(folder: string): Promise<{ artefact: Artefact; notices: string[] }> {
  const path = join(folder, pyveneFileName);
  const json = parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path });
  const config = parsePyveneConfig(json, path);
  const files = new Set(await listFolder(folder));
  const tensors = new Map<string, Tensor>();
  const interventions: Intervention[] = [];
  const keys: string[] = [];
  for (const [index, described] of config.interventions.entries()) {
    const found = keySpellings.find((spelling) => files.has(keyFileName(described.keys[spelling])));
    const source = await readSource(folder, described, found === undefined ? undefined : described.keys[found]);
    const tensorName = `${described.keys.underscore}.source`;
    if (source !== undefined) tensors.set(tensorName, source);
    interventions.push(interventionOf(described, source === undefined ? undefined : tensorName));
    keys.push(found === undefined ? savedKey(json as JsonObject, described, index) : described.keys[found]);
  }
  const draft = draftOf(folder, config, interventions, { era: config.era, config: json as JsonObject, keys });
  return {
    artefact: makeArtefact(draft, tensors),
    notices: ["pyvene records no base model, licence or strength: what it was made for is for you to know"],
  };
}

/** What the representation says, in format 1. */
export function interventionOf(described: PyveneIntervention, tensorName: string | undefined): Intervention {
  const { kind, site, maxUnits, dimension, subspacePartition, group, link, keys } = described;
  return {
    key: keys.underscore,
    kind,
    site,
    maxUnits,
    parameters: {},
    tensors: tensorName === undefined ? {} : { source: tensorName },
    dimension,
    strength: usualStrength(kind),
    tokens: { ...pyveneDefaultTokens },
    ...(subspacePartition === undefined ? {} : { subspacePartition }),
    ...(group === undefined ? {} : { group }),
    ...(link === undefined ? {} : { link }),
  } as Intervention;
}

/** The constant source, if the intervention has one. `key` is the spelling under which a file was found. */
async function readSource(
  folder: string,
  described: PyveneIntervention,
  key: string | undefined,
): Promise<Tensor | undefined> {
  if (kindSpecOf(described.kind).constantSource === "never" || described.constantSource === false) return undefined;
  if (key === undefined) {
    if (described.constantSource === undefined) return undefined;
    const tried = keySpellings.map((spelling) => keyFileName(described.keys[spelling]));
    throw new VeneError(
      "artefact-tensor",
      `${folder} has no file for the constant source of ${described.keys.underscore}`,
      {
        hint: `looked for ${tried.join(", ")}`,
        details: { folder, tried },
      },
    );
  }
  const path = join(folder, keyFileName(key));
  const state = await withFile(path, readTorchFile);
  const source = state instanceof Map ? state.get("source_representation") : undefined;
  if (source instanceof Tensor) return source;
  if (described.constantSource === undefined) return undefined;
  throw new VeneError("artefact-tensor", `${path} has no tensor source_representation`, { details: { path } });
}

/** The key as the config has it in sorted_keys, if that is one of its spellings; without a file nothing else tells. */
function savedKey(config: JsonObject, { keys }: PyveneIntervention, index: number): string {
  const listed = config["sorted_keys"];
  const key = Array.isArray(listed) ? listed[index] : undefined;
  return keySpellings.map((spelling) => keys[spelling]).find((spelled) => spelled === key) ?? keys.underscore;
}

function draftOf(
  folder: string,
  config: PyveneConfig,
  interventions: Intervention[],
  pyvene: NonNullable<ManifestDraft["pyvene"]>,
): ManifestDraft {
  return {
    name: nameFrom(basename(resolve(folder))),
    summary: summaryOf(interventions),
    license: "unknown",
    base: { model: null, architecture: null, layers: null, hiddenSize: null },
    mode: config.mode,
    interventions,
    provenance: { tool: { name: "pyvene", version: pyveneVersions[config.era] } },
    pyvene,
  };
}

/** The releases that wrote each era; configs carry no version. */
const pyveneVersions = {
  "alignable-8": "before 0.0.1",
  "intervenable-8": "up to 0.0.6",
  "10": "between 0.0.6 and 0.0.7",
  "11": "between 0.0.6 and 0.0.7",
  "12": "between 0.0.6 and 0.0.7",
  "13": "0.0.7 to 0.1.2",
  "14": "0.1.3 or later",
  named: "unknown",
} as const satisfies { readonly [E in PyveneConfig["era"]]: string };

function summaryOf(interventions: readonly Intervention[]): string {
  const [first] = interventions;
  const more = interventions.length > 1 ? ` and ${interventions.length - 1} more` : "";
  return `${first!.kind} at ${formatSite(first!.site)}${more}, saved by pyvene`.slice(0, 1000);
}

/** A name that format 1 allows, made from a file's or folder's name. */
export function nameFrom(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .slice(0, 96)
    .replace(/^[._-]+|[._-]+$/g, "");
  return name === "" ? "imported" : name;
}
