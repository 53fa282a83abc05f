/** Opens an .onnx file: its graph without the weights, which stay where they are, checked to lie in the model's own folder. */
import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import type { Sha256 } from "../base/brands.ts";
import { type ByteSource, withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { decodeModel } from "../formats/onnx/codec.ts";
import { dataLocations } from "../formats/onnx/messages.ts";
import type { ModelProto } from "../formats/onnx/types.ts";
import { detached, type ExternalRange, externalRanges } from "../graph/import-weights.ts";

/** Protobuf's limit for a file; what is larger keeps its weights beside it. */
const MOST_BYTES = 2 ** 31 - 1;

/** Enough of each weight that training, merging or quantising changes some of it. */
const SAMPLE_BYTES = 256;

export interface OnnxFile {
  /** In kilobytes: large weights are references into files of `folder`. */
  readonly model: ModelProto;
  /** Real path of the folder that the references are relative to. */
  readonly folder: string;
  /** Bytes of weights, in all files. */
  readonly weightBytes: number;
  /** sha256 of the nodes and of name, type, shape and first bytes of every weight, wherever they are stored. */
  readonly fingerprint: Sha256;
}

/**
 * Throws `file-missing`, `file-unreadable`, `onnx-invalid` (malformed, above 2 GiB, weights outside the model's folder or
 * beyond the end of their file) and `weights-missing` when a file of weights is absent.
 */
export async function openOnnxFile(path: string): Promise<OnnxFile> {
  const bytes = await withFile(path, readWhole);
  const decoded = decodeModel(bytes);
  const real = await realpath(path);
  const folder = dirname(real);
  const names = new Map<string, string>();
  for (const range of externalRanges(decoded)) {
    const name = names.get(range.location) ?? (await nameInside(folder, dirname(path), range.location));
    names.set(range.location, name);
  }
  const model = detached(decoded, bytes, basename(real), (location) => names.get(location)!);
  const samples = await sampleWeights(folder, externalRanges(model));
  return { model, folder, ...factsOf(model, samples) };
}

async function readWhole(source: ByteSource): Promise<Uint8Array> {
  if (source.size <= MOST_BYTES) return source.read(0, source.size);
  throw new VeneError(
    "onnx-invalid",
    `${source.name} has ${source.size} bytes, an ONNX file has at most ${MOST_BYTES}`,
    {
      hint: "larger models keep their weights in files beside the .onnx",
      details: { path: source.name, size: source.size },
    },
  );
}

/**
 * What onnxruntime is to call a file of weights. In a Hub cache both the model and its weights are links to one folder of blobs,
 * so what counts is that the real files lie together.
 */
async function nameInside(folder: string, beside: string, location: string): Promise<string> {
  const path = join(beside, location);
  const real = await realpath(path).catch((cause: unknown) => {
    throw new VeneError("weights-missing", `the model's weights are in ${path}, which does not exist`, {
      hint: "fetch all files of the model: the weights of an .onnx may be in .onnx_data files beside it",
      details: { location },
      cause,
    });
  });
  const name = relative(folder, real);
  if (name !== "" && !name.startsWith("..") && !name.includes(":")) return name.split(sep).join("/");
  throw new VeneError("onnx-invalid", `the model's weights in ${location} are a link out of the model's folder`, {
    details: { location, real },
  });
}

/** First bytes of each range, in order. Throws `onnx-invalid` when it does not lie inside its file. */
async function sampleWeights(folder: string, ranges: readonly ExternalRange[]): Promise<readonly Uint8Array[]> {
  const samples: Uint8Array[] = [];
  for (const location of new Set(ranges.map((range) => range.location))) {
    await withFile(join(folder, location), async (source) => {
      for (const [i, { offset, length = 0, ...range }] of ranges.entries()) {
        if (range.location !== location) continue;
        if (offset + length > source.size) {
          throw new VeneError(
            "onnx-invalid",
            `a weight is at bytes ${offset} to ${offset + length} of ${location}, which has ${source.size}`,
            { hint: "the file is not complete: fetch it again", details: { location, offset, length } },
          );
        }
        samples[i] = await source.read(offset, Math.min(offset + length, offset + SAMPLE_BYTES));
      }
    });
  }
  return samples;
}

function factsOf(model: ModelProto, samples: readonly Uint8Array[]): { weightBytes: number; fingerprint: Sha256 } {
  const hash = createHash("sha256");
  const weightBytes = externalRanges(model).reduce((sum, { length = 0 }) => sum + length, 0);
  for (const node of model.graph?.node ?? []) hash.update(`${node.domain} ${node.opType} ${node.input.length}\n`);
  let next = 0;
  for (const { name, dims, dataType, dataLocation, rawData } of model.graph?.initializer ?? []) {
    const bytes = dataLocation === dataLocations.external ? samples[next++] : rawData?.subarray(0, SAMPLE_BYTES);
    hash.update(`\n${name} ${dataType} ${dims.join("x")}\n`).update(bytes ?? new Uint8Array());
  }
  return { weightBytes, fingerprint: hash.digest("hex") as Sha256 };
}
