/** Turns a torch file with one vector per layer, a plain dict of layer to tensor, into an artefact. */
import { basename } from "node:path";
import { withFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { readTorchFile, type TorchValue } from "../formats/torch-file.ts";
import { type Intervention, type Strength, usualStrength } from "../spec/intervention.ts";
import type { Provenance } from "../spec/manifest.ts";
import { hasHiddenWidth, type Site, siteOfPyvene } from "../spec/sites.ts";
import { pyveneDefaultTokens, type TokensPolicy } from "../spec/tokens.ts";
import { toolOfVene } from "../spec/tool.ts";
import { type Artefact, makeArtefact } from "./artefact.ts";
import { interventionKeys } from "./pyvene-keys.ts";

export interface ImportVectorsOptions {
  /** The artefact's name. */
  readonly name: string;
  /** Hub id of the model the vectors were made for; null if unknown. */
  readonly baseModel: string | null;
  /** model_type of that model's config.json, e.g. "llama". */
  readonly architecture?: string;
  /** Layers of the model; by default the number of vectors, if there is one for every layer from 0 on. */
  readonly layers?: number;
  /** Hidden size of the model; by default the vectors' width, if the site has the hidden size's width. */
  readonly hiddenSize?: number;
  /**
   * Where to add them: a component ("block_output"), or a module path with its side in which {layer} stands for the layer
   * ("model.layers[{layer}].self_attn.o_proj.output").
   */
  readonly module: string;
  readonly summary?: string;
  readonly license?: string;
  readonly strength?: Strength;
  /** pyvene's default unless given: the prompt untouched, every generated token touched. */
  readonly tokens?: TokensPolicy;
  readonly provenance?: Pick<Provenance, "method" | "description" | "data">;
}

/**
 * One addition per layer whose vector is not all zero, in order of layers. The file's digest goes into the provenance. Throws
 * what reading a torch file throws, and `artefact-tensor` when it is no such dict.
 */
export async function importVectorDict(path: string, options: ImportVectorsOptions): Promise<Artefact> {
  const vectors = layersOf(path, await withFile(path, readTorchFile));
  const used = vectors.filter(([, vector]) => vector.toFloat32().some((value) => value !== 0));
  if (used.length === 0) throw notVectors(path, "every vector in it is zero");
  const sites = used.map(([layer]) => siteFor(options.module, layer));
  const keys = interventionKeys(sites.map((site) => ({ site, maxUnits: 1 })));
  const tensors = new Map(used.map(([, vector], index) => [`${keys[index]}.source`, vector]));
  const width = used[0]![1].shape[0]!;
  const draft = {
    name: options.name,
    summary: options.summary ?? `vectors added at ${options.module} in ${used.length} layers`,
    license: options.license ?? "unknown",
    base: {
      model: options.baseModel,
      architecture: options.architecture ?? null,
      layers: options.layers ?? contiguous(vectors.map(([layer]) => layer)),
      hiddenSize: options.hiddenSize ?? (sites.every(hasHiddenWidth) ? width : null),
    },
    mode: "parallel" as const,
    interventions: sites.map((site, index) => additionAt(site, keys[index]!, options)),
    provenance: {
      ...options.provenance,
      tool: { ...toolOfVene },
      sourceFiles: [{ name: basename(path), sha256: await sha256OfFile(path) }],
    },
  };
  return makeArtefact(draft, tensors);
}

function additionAt(site: Site, key: string, { strength, tokens }: ImportVectorsOptions): Intervention {
  return {
    key,
    kind: "addition",
    site,
    maxUnits: 1,
    parameters: {},
    tensors: { source: `${key}.source` },
    dimension: null,
    strength: strength ?? usualStrength("addition"),
    tokens: tokens ?? { ...pyveneDefaultTokens },
  };
}

/** Layer and vector, by ascending layer. */
function layersOf(path: string, value: TorchValue): [number, Tensor][] {
  if (!(value instanceof Map) || value.size === 0) throw notVectors(path, "it is not a dict with an element");
  const layers: [number, Tensor][] = [];
  let width: number | undefined;
  for (const [key, vector] of value) {
    const layer = typeof key === "number" ? key : /^\d{1,5}$/.test(key) ? Number(key) : -1;
    if (!Number.isInteger(layer) || layer < 0) throw notVectors(path, `its key ${JSON.stringify(key)} is no layer`);
    if (!(vector instanceof Tensor) || vector.shape.length !== 1 || vector.size === 0) {
      const found = vector instanceof Tensor ? `a tensor [${vector.shape}]` : "no tensor";
      throw notVectors(path, `layer ${layer} has ${found}`);
    }
    width ??= vector.size;
    if (vector.size !== width) throw notVectors(path, `layer ${layer} has ${vector.size} values, others ${width}`);
    layers.push([layer, vector]);
  }
  return layers.sort(([one], [other]) => one - other);
}

function siteFor(module: string, layer: number): Site {
  if (module.includes(".") && !module.includes("{layer}")) {
    throw new VeneError("site-unknown", `${JSON.stringify(module.slice(0, 80))} does not say where the layer goes`, {
      hint: "write {layer} where the layer's number belongs: model.layers[{layer}].self_attn.o_proj.output",
      details: { module },
    });
  }
  return siteOfPyvene(layer, module.replaceAll("{layer}", String(layer)), "pos");
}

/** The number of layers if there is a vector for each, else null. */
function contiguous(layers: readonly number[]): number | null {
  return layers.every((layer, index) => layer === index) ? layers.length : null;
}

function notVectors(path: string, why: string): VeneError {
  return new VeneError("artefact-tensor", `${path} is not one vector per layer: ${why}`, {
    hint: "expected what torch.save({layer: vector, ...}) writes, with tensors of one dimension",
    details: { path, why },
  });
}
