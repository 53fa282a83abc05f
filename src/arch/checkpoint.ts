/** Opens a Hugging Face checkpoint folder: config, generation config, and the index of its safetensors. Reads headers only. */
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { readSmallFile, withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { parseJson } from "../formats/json.ts";
import { readSafetensorsHeader } from "../formats/safetensors.ts";
import { ConfigReader } from "./config.ts";
import { type WeightEntry, WeightIndex } from "./weights.ts";

/** Honest configs have a few kilobytes, honest indices of the largest models a few megabytes. */
const MAX_CONFIG_BYTES = 1 << 20;
const MAX_INDEX_BYTES = 64 << 20;
const MAX_SHARDS = 10_000;

export interface Checkpoint {
  readonly folder: string;
  readonly config: ConfigReader;
  /** generation_config.json, when the folder has one. */
  readonly generation: ConfigReader | undefined;
  readonly weights: WeightIndex;
}

/** Throws `checkpoint-invalid`, `weights-missing` (a shard is absent), `safetensors-invalid`. */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  await checkFolder(folder);
  const config = await readConfig(folder, "config.json");
  if (config === undefined) {
    throw new VeneError("checkpoint-invalid", `${folder} has no config.json`, {
      hint: "give the folder of a Hugging Face checkpoint: config.json, *.safetensors, tokenizer.json",
      details: { folder },
    });
  }
  const generation = await readConfig(folder, "generation_config.json");
  return { folder, config, generation, weights: await indexWeights(folder) };
}

async function checkFolder(folder: string): Promise<void> {
  const status = typeof folder === "string" ? await stat(folder).catch(() => undefined) : undefined;
  if (status?.isDirectory()) return;
  throw new VeneError("file-missing", `there is no folder ${JSON.stringify(folder)}`, {
    hint: "give the path of a downloaded checkpoint folder",
    details: { folder },
  });
}

/** A JSON file of a model's folder, or undefined when it has none. Throws `checkpoint-invalid`, `json-invalid`. */
export async function readConfig(folder: string, name: string): Promise<ConfigReader | undefined> {
  const json = await readJson(join(folder, name), MAX_CONFIG_BYTES);
  return json === undefined ? undefined : new ConfigReader(json, join(folder, name));
}

async function readJson(path: string, limit: number): Promise<unknown> {
  try {
    return parseJson(await readSmallFile(path, limit), { name: path });
  } catch (error) {
    if (error instanceof VeneError && error.code === "file-missing") return undefined;
    throw error;
  }
}

async function indexWeights(folder: string): Promise<WeightIndex> {
  const shards = await shardNames(folder);
  const entries = new Map<string, WeightEntry>();
  for (const shard of shards) {
    const file = await locateShard(folder, shard);
    const header = await withFile(file, readSafetensorsHeader);
    for (const [name, entry] of header.tensors) {
      if (entries.has(name)) {
        throw new VeneError("checkpoint-invalid", `${name} is in ${entries.get(name)?.file} and again in ${file}`);
      }
      entries.set(name, { ...entry, file });
    }
  }
  return new WeightIndex(entries);
}

/** File names from model.safetensors.index.json, or the single file. */
async function shardNames(folder: string): Promise<readonly string[]> {
  const path = join(folder, "model.safetensors.index.json");
  const index = await readJson(path, MAX_INDEX_BYTES);
  if (index === undefined) return ["model.safetensors"];
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null) throw new VeneError("checkpoint-invalid", `${path} has no weight_map`);
  const names = [...new Set(Object.values(map))];
  if (names.length > MAX_SHARDS) throw new VeneError("checkpoint-invalid", `${path} names ${names.length} shards`);
  return names.map((name) => {
    if (typeof name === "string" && /^[A-Za-z0-9._-]+\.safetensors$/.test(name)) return name;
    throw new VeneError("checkpoint-invalid", `${path} names the shard ${JSON.stringify(name)}, not a plain file name`);
  });
}

/** The shard's real path: Hub caches are symlinks, and onnxruntime refuses external data behind links. */
async function locateShard(folder: string, shard: string): Promise<string> {
  try {
    return await realpath(join(folder, shard));
  } catch (cause) {
    throw new VeneError("weights-missing", `${folder} lacks the weights file ${shard}`, {
      hint: "vene reads .safetensors checkpoints; finish the download, or convert .bin files with save_pretrained",
      details: { folder, shard },
      cause,
    });
  }
}
