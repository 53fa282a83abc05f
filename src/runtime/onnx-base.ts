/** Opens an .onnx file that others exported as a base model, with config and tokenizer from its folder or the one above. */
import { basename, dirname, resolve } from "node:path";
import { readConfig } from "../arch/checkpoint.ts";
import type { ConfigReader } from "../arch/config.ts";
import { elementCount } from "../base/dtype.ts";
import { dataTypeName } from "../formats/onnx/dtypes.ts";
import type { ModelProto } from "../formats/onnx/types.ts";
import { importGraph } from "../graph/import.ts";
import { adaptDecoder } from "./onnx-decoder.ts";
import { openOnnxFile } from "./onnx-file.ts";
import { OnnxGraphs } from "./onnx-graphs.ts";
import { adaptTensors } from "./onnx-tensors.ts";
import { inferredTypes } from "./onnx-types.ts";
import type { OpenedBase } from "./opened-base.ts";

/** Throws what {@link openOnnxFile} throws, `onnx-unsupported`, `runtime-failed`, `checkpoint-invalid` for a broken config. */
export async function openOnnxBase(path: string): Promise<OpenedBase> {
  const file = await openOnnxFile(path);
  const { folder, config, generation } = await configsBeside(path);
  const types = await inferredTypes(file.model, file.folder);
  const graph = importGraph(file.model, types);
  const adapted = adaptDecoder(graph, config) ?? adaptTensors(graph);
  return {
    folder,
    config,
    generation,
    architecture: config?.has("model_type") ? config.string("model_type") : "onnx",
    shape: adapted.shape,
    fingerprint: file.fingerprint,
    parameters: parametersOf(file.model),
    graphs: new OnnxGraphs(file, types, adapted),
  };
}

interface Configs {
  readonly folder: string;
  readonly config: ConfigReader | undefined;
  readonly generation: ConfigReader | undefined;
}

/** Hub repositories keep the exports in onnx/, one below config.json. */
async function configsBeside(path: string): Promise<Configs> {
  const own = dirname(resolve(path));
  const folders = basename(own) === "onnx" ? [own, dirname(own)] : [own];
  for (const folder of folders) {
    const config = await readConfig(folder, "config.json");
    if (config !== undefined) {
      return { folder, config, generation: await readConfig(folder, "generation_config.json") };
    }
  }
  return { folder: own, config: undefined, generation: undefined };
}

function parametersOf({ graph }: ModelProto): OpenedBase["parameters"] {
  const tensors = graph?.initializer ?? [];
  const count = tensors.reduce((sum, { dims }) => sum + elementCount(Array.from(dims, Number)), 0);
  return { count, dtypes: [...new Set(tensors.map(({ dataType = 0 }) => dataTypeName(dataType)))].sort() };
}
