/** Reads a folder that pyvene's IntervenableModel.save wrote, of any release, as an artefact. Nothing of it is executed. */
import { basename, join, resolve } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { Tensor } from "../base/tensor.ts";
import { parseJson } from "../formats/json.ts";
import { readTorchFile } from "../formats/torch-file.ts";
import { type Intervention, usualStrength } from "../spec/intervention.ts";
import { type Kind, kindSpecOf } from "../spec/kinds.ts";
import { formatSite } from "../spec/sites.ts";
import { pyveneDefaultTokens } from "../spec/tokens.ts";
import { type Artefact, type ManifestDraft, makeArtefact } from "./artefact.ts";
import { sizesOf } from "./check.ts";
import { listFolder, MAX_JSON_BYTES, pyveneFileName } from "./folder.ts";
import type { Multiply } from "./matrix.ts";
import { type JsonObject, type PyveneConfig, type PyveneIntervention, parsePyveneConfig } from "./pyvene-config.ts";
import { keyFileName, keySpellings } from "./pyvene-keys.ts";
import { layoutOf } from "./pyvene-layouts.ts";
import { shareLinked } from "./pyvene-links.ts";
import { needsNoFile, recognise } from "./pyvene-recognise.ts";
import { dimensionOf, readState, type StateContents, strangeKeys } from "./pyvene-state.ts";

/**
 * The artefact in a folder of pyvene's: config.json and intkey_*.bin, whatever release wrote them (see pyvene-eras.ts and
 * pyvene-keys.ts). Tokens policy and strength are what pyvene does, the base is unknown because pyvene does not record it, and
 * config.json is kept so that the way back is lossless. `multiply`: for large rotations. Throws `pyvene-config`, `pyvene-class`,
 * `artefact-tensor`, `tensor-invalid`, `manifest-invalid` and what reading the files throws.
 */
export async function readPyvene(
  folder: string,
  multiply?: Multiply,
): Promise<{ artefact: Artefact; notices: string[] }> {
  const path = join(folder, pyveneFileName);
  const json = parseJson(await readSmallFile(path, MAX_JSON_BYTES), { name: path });
  const config = parsePyveneConfig(json, path);
  const files = new Set(await listFolder(folder));
  const tensors = new Map<string, Tensor>();
  const notices = new Set([
    "pyvene records no base model, licence, strength or positions: what it was made for is for you to know",
  ]);
  const read: Intervention[] = [];
  const keys: string[] = [];
  for (const [index, described] of config.interventions.entries()) {
    const saved = await readSaved(folder, files, described, index, multiply);
    const names: { [role: string]: string } = {};
    for (const [role, tensor] of saved.contents?.tensors ?? []) {
      names[role] = `${described.keys.underscore}.${role}`;
      tensors.set(names[role], tensor);
    }
    read.push(interventionOf(described, saved.kind, names, saved.contents));
    keys.push(saved.key ?? savedKey(json as JsonObject, described, index));
    for (const notice of saved.notices) notices.add(notice);
  }
  const shared = shareLinked(read, tensors);
  const draft = draftOf(folder, config, shared.interventions, { era: config.era, config: json as JsonObject, keys });
  const artefact = makeArtefact(draft, shared.tensors);
  return { artefact, notices: [...notices, ...shared.notices, ...rankNotices(config, artefact)] };
}

interface Saved {
  readonly kind: Kind;
  /** What its file says, if it needs one. */
  readonly contents: StateContents | undefined;
  /** The key under which a file was found, if there is one. */
  readonly key: string | undefined;
  readonly notices: readonly string[];
}

async function readSaved(
  folder: string,
  files: ReadonlySet<string>,
  described: PyveneIntervention,
  index: number,
  multiply: Multiply | undefined,
): Promise<Saved> {
  const spelling = keySpellings.find((each) => files.has(keyFileName(described.keys[each])));
  const key = spelling === undefined ? undefined : described.keys[spelling];
  const path = join(folder, key === undefined ? "" : keyFileName(key));
  const file = key === undefined || needsNoFile(described) ? undefined : await stateIn(path);
  const { kind, state, notice } = recognise(described, index, file, path);
  const notices = notice === undefined ? [] : [notice];
  if ("activation" in kindSpecOf(kind).parameters.shape) {
    notices.push(`pyreft does not store the act_fn of a ${kind}: taken to be linear`);
  }
  if (state === undefined) return { kind, contents: undefined, key, notices };
  const strange = strangeKeys(kind, state);
  if (strange.length > 0) {
    const listed = strange.slice(0, 8).join(", ");
    notices.push(`${described.keys.underscore}: its file also has ${listed}, which pyvene does not use; left out`);
  }
  return { kind, contents: await readState(kind, state, path, multiply), key, notices };
}

async function stateIn(path: string): Promise<ReadonlyMap<string, Tensor>> {
  const state = await withFile(path, readTorchFile);
  const entries = state instanceof Map ? [...state] : [];
  return new Map(entries.filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor));
}

/** What the representation and the state dict say, in format 1. */
function interventionOf(
  { site, maxUnits, dimension, subspacePartition, group, link, keys }: PyveneIntervention,
  kind: Kind,
  tensors: { [role: string]: string },
  contents: StateContents | undefined,
): Intervention {
  return {
    key: keys.underscore,
    kind,
    site,
    maxUnits,
    parameters: { ...contents?.parameters },
    tensors,
    dimension: dimensionOf(kind, contents?.interchange ?? dimension),
    strength: usualStrength(kind),
    tokens: { ...pyveneDefaultTokens },
    ...(subspacePartition === undefined ? {} : { subspacePartition }),
    ...(group === undefined ? {} : { group }),
    ...(link === undefined ? {} : { link }),
  } as Intervention;
}

/** pyvene builds a class by its config's ranks and then cannot load tensors of others; here tensors speak for themselves. */
function rankNotices({ interventions }: PyveneConfig, { manifest, tensors }: Artefact): string[] {
  return manifest.interventions.flatMap((intervention, index) => {
    const { rank, latents } = layoutOf(intervention.kind) ?? {};
    const sizes = sizesOf(intervention, tensors);
    const { lowRank, latents: latentDim } = interventions[index]!;
    const disagreement = [
      ["low_rank_dimension", rank, lowRank] as const,
      ["latent_dim", latents, latentDim] as const,
    ].find(([, symbol, given]) => symbol !== undefined && given !== undefined && sizes.get(symbol) !== given);
    if (disagreement === undefined) return [];
    const [field, symbol, given] = disagreement;
    return [
      `${intervention.key}: the config's ${field} is ${given}, its tensors have ${sizes.get(symbol!)}, which holds`,
    ];
  });
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
