/** Sparse autoencoders that SAELens or Gemma Scope share, as an artefact with one `autoencoder` or `jumprelu-autoencoder`. */
import { basename, dirname, join, resolve } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { systemCodeOf, VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import type { Tensor } from "../base/tensor.ts";
import { parseJson } from "../formats/json.ts";
import { readNpz } from "../formats/npy.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { type Intervention, usualStrength } from "../spec/intervention.ts";
import { formatSite, hasHiddenWidth, type Site, siteOfPyvene } from "../spec/sites.ts";
import { pyveneDefaultTokens } from "../spec/tokens.ts";
import { toolOfVene } from "../spec/tool.ts";
import { type Artefact, makeArtefact } from "./artefact.ts";
import { listFolder, MAX_JSON_BYTES } from "./folder.ts";
import { parseSaeConfig, type SaeConfig } from "./import-sae-config.ts";
import { siteOfHook } from "./import-sae-hook.ts";
import { type SaeKind, saeKind, saeWeights } from "./import-sae-tensors.ts";
import { interventionKeys } from "./pyvene-keys.ts";
import { nameFrom } from "./pyvene-read.ts";

const configName = "cfg.json";
const weightsName = "sae_weights.safetensors";
const paramsName = "params.npz";

export interface ImportSaeOptions {
  /** The artefact's name; by default the folder's. */
  readonly name?: string;
  /** Hub id of the model; by default what cfg.json calls it. */
  readonly baseModel?: string;
  /** Where it belongs in place of what cfg.json says; params.npz says nothing. */
  readonly layer?: number;
  /** A component ("block_output"), or a module path with its side. */
  readonly component?: string;
}

const optionNames = ["name", "baseModel", "layer", "component"] as const satisfies readonly (keyof ImportSaeOptions)[];

/** Whether {@link importSae} is for it: a folder that SAELens wrote, or a params.npz or a folder with one. */
export async function isSae(path: string): Promise<boolean> {
  if (path.endsWith(".npz")) return true;
  const found = await filesIn(path);
  return found.includes(paramsName) || (found.includes(configName) && found.includes(weightsName));
}

async function filesIn(path: string): Promise<readonly string[]> {
  try {
    return (await listFolder(path)) ?? [];
  } catch (thrown) {
    if (thrown instanceof VeneError && systemCodeOf(thrown.cause) === "ENOTDIR") return [];
    throw thrown;
  }
}

/** What was read, before it is an artefact. */
interface Sae {
  readonly name: string;
  readonly model: string | undefined;
  readonly site: Site;
  readonly sae: SaeKind;
  readonly tool: { readonly name: string; readonly version: string };
  readonly files: readonly string[];
  readonly notices: string[];
}

/**
 * Reads what SAELens saved (cfg.json of any generation, sae_weights.safetensors), or a params.npz of Gemma Scope. Latents of the
 * artefact's intervention are the SAE's. Throws `import-unsupported` for what no kind computes, `import-invalid`, `npy-invalid`,
 * `artefact-tensor`, `tensor-invalid`, `site-unknown`, `usage` without a site, and what reading the files throws.
 */
export async function importSae(
  path: string,
  options: ImportSaeOptions = {},
): Promise<{ artefact: Artefact; notices: string[] }> {
  checkKeys("importSae's options", options, optionNames, "usage");
  const found = await filesIn(path);
  const isParams = path.endsWith(".npz");
  const read =
    isParams || found.includes(paramsName)
      ? await readGemmaScope(isParams ? path : join(path, paramsName), options)
      : await readSaeLens(path, options);
  const { name, model, site, sae, tool, files, notices } = read;
  const [key] = interventionKeys([{ site, maxUnits: 1 }]) as [string];
  const width = sae.tensors.get("decoderBias")!.size;
  const latents = sae.tensors.get("encoderBias")!.size;
  const artefact = makeArtefact(
    {
      name: options.name ?? nameFrom(name),
      summary: `sparse autoencoder of ${latents} latents at ${formatSite(site)}`,
      license: "unknown",
      base: {
        model: options.baseModel ?? model ?? null,
        architecture: null,
        layers: null,
        hiddenSize: hasHiddenWidth(site) ? width : null,
      },
      mode: "parallel",
      interventions: [interventionAt(site, key, sae)],
      provenance: {
        method: "sparse autoencoder",
        tool: { ...tool },
        sourceFiles: await Promise.all(
          files.map(async (file) => ({ name: basename(file), sha256: await sha256OfFile(file) })),
        ),
      },
    },
    new Map([...sae.tensors].map(([role, tensor]) => [`${key}.${role}`, tensor])),
  );
  return { artefact, notices };
}

async function readSaeLens(folder: string, options: ImportSaeOptions): Promise<Sae> {
  const files = [join(folder, configName), join(folder, weightsName)] as const;
  const [configPath, weightsPath] = files;
  const json = parseJson(await readSmallFile(configPath, MAX_JSON_BYTES), { name: configPath });
  const config = parseSaeConfig(json, configPath);
  const site = givenSite(options, folder) ?? siteOfHook(config.hook, config.model, configPath);
  const tensors = await withFile(weightsPath, readSafetensors);
  const { architecture, width, latents } = config;
  const weights = saeWeights(tensors, weightsPath, { jumps: architecture === "jumprelu", width, latents });
  return {
    name: basename(resolve(folder)),
    model: config.model,
    site,
    sae: saeKind(weights, config),
    tool: { name: "sae_lens", version: config.version ?? "unknown" },
    files,
    notices: noticesOf(config, options),
  };
}

function noticesOf({ model, centresByMean }: SaeConfig, { baseModel }: ImportSaeOptions): string[] {
  const notices: string[] = [];
  if (baseModel === undefined && !model.includes("/")) {
    notices.push(`${model.slice(0, 80)} is what TransformerLens calls the model: its id on the Hub is for you to give`);
  }
  if (centresByMean) {
    notices.push(
      "TransformerLens centred the residual stream: the encoder now takes the input's mean off itself, and what is decoded has mean 0, which LayerNorm does not see",
    );
  }
  return notices;
}

/** Gemma Scope's: JumpReLU on the activation as it is. */
async function readGemmaScope(path: string, options: ImportSaeOptions): Promise<Sae> {
  const site = givenSite(options, path);
  if (site === undefined) {
    throw new VeneError("usage", `${path} does not say where it belongs`, {
      hint: 'give layer and component: of gemma-scope-*-res "block_output", of -att "attention_value_output"',
      details: { path },
    });
  }
  const expected = { jumps: true, width: undefined, latents: undefined };
  const tensors: ReadonlyMap<string, Tensor> = await withFile(path, readNpz);
  return {
    name: basename(dirname(resolve(path))),
    model: undefined,
    site,
    sae: saeKind(saeWeights(tensors, path, expected), { centresByBias: false, centresByMean: false }),
    tool: { ...toolOfVene },
    files: [path],
    notices: [],
  };
}

/** The site that the options name, if they do. Throws `usage` for half of one, `site-unknown`. */
function givenSite({ layer, component }: ImportSaeOptions, path: string): Site | undefined {
  if (layer === undefined && component === undefined) return undefined;
  if (component !== undefined && (layer !== undefined || component.includes("."))) {
    return siteOfPyvene(layer ?? 0, component, "pos");
  }
  const [given, missing] = component === undefined ? ["a layer", "component"] : ["a component", "layer"];
  throw new VeneError("usage", `${path} was given ${given} but no ${missing}`, { details: { path } });
}

function interventionAt(site: Site, key: string, { kind, tensors }: SaeKind): Intervention {
  return {
    key,
    kind,
    site,
    maxUnits: 1,
    parameters: {},
    tensors: Object.fromEntries([...tensors.keys()].map((role) => [role, `${key}.${role}`])),
    dimension: null,
    strength: usualStrength(kind),
    tokens: { ...pyveneDefaultTokens },
  } as Intervention;
}
