/** Opens what a model is made of: a checkpoint to compile, or an .onnx file that others exported. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../arch/checkpoint.ts";
import { familyOf } from "../arch/families.ts";
import { fingerprintOf } from "../arch/fingerprint.ts";
import { familyAt, type ModelDType } from "../arch/quantised-dtypes.ts";
import { elementCount } from "../base/dtype.ts";
import { VeneError } from "../base/errors.ts";
import type { ProgressListener } from "../base/progress.ts";
import { CheckpointGraphs } from "./checkpoint-graphs.ts";
import { openOnnxBase } from "./onnx-base.ts";
import type { OpenedBase } from "./opened-base.ts";

export interface OpenBaseOptions {
  readonly dtype: ModelDType;
  readonly cacheFolder: string;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where exporters put the file, in order of preference; _merged ones hold both steps of older decoders. */
const onnxFiles = ["model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx"].flatMap((name) => [
  join("onnx", name),
  name,
]);

/** An .onnx file, or a folder; one with safetensors is a checkpoint whatever else it holds. Throws what opening either throws. */
export async function openBase(path: string, options: OpenBaseOptions): Promise<OpenedBase> {
  const file = path.endsWith(".onnx") ? path : await onnxFileOf(path);
  if (file === undefined) return openCheckpointBase(path, options);
  if (options.dtype === "fp32") return openOnnxBase(file);
  throw new VeneError(
    "usage",
    `dtype ${options.dtype} quantises checkpoints; ${file} holds the weights that it computes with`,
    {
      hint: "leave dtype out, or give a checkpoint folder",
      details: { dtype: options.dtype, file },
    },
  );
}

async function onnxFileOf(folder: string): Promise<string | undefined> {
  const weights = ["model.safetensors", "model.safetensors.index.json"].map((name) => join(folder, name));
  if ((await firstFile(weights)) !== undefined) return undefined;
  return firstFile(onnxFiles.map((name) => join(folder, name)));
}

async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const status = await stat(path).catch(() => undefined);
    if (status?.isFile()) return path;
  }
  return undefined;
}

async function openCheckpointBase(folder: string, { dtype, ...copy }: OpenBaseOptions): Promise<OpenedBase> {
  const checkpoint = await openCheckpoint(folder);
  const { config, generation, weights } = checkpoint;
  const family = familyAt(familyOf(config), dtype);
  const entries = [...weights.entries.values()];
  return {
    folder,
    config,
    generation,
    architecture: family.name,
    shape: family.shape(config),
    fingerprint: await fingerprintOf(checkpoint),
    parameters: {
      count: entries.reduce((sum, entry) => sum + elementCount(entry.shape), 0),
      dtypes: [...new Set(entries.map((entry) => entry.dtype))].sort(),
    },
    graphs: new CheckpointGraphs(checkpoint, family, copy),
  };
}
