/** Opens any file that holds tensors (torch, safetensors, GGUF), told apart by its content. */
import { type ByteSource, withFile } from "../base/bytes.ts";
import { Tensor } from "../base/tensor.ts";
import { readGguf } from "./gguf.ts";
import { readSafetensorsHeader, readSafetensorsTensor } from "./safetensors.ts";
import { SNIFF_LENGTH, sniffFormat } from "./sniff.ts";
import { readTorchFile, type TorchValue } from "./torch-file.ts";

export interface TensorFile {
  readonly format: "torch" | "safetensors" | "gguf";
  /**
   * Names and tensors. In a torch file the name is the path of keys, joined by dots; a file that is one bare tensor gives it
   * the name "". A safetensors file is read tensor by tensor, the others whole.
   */
  readonly tensors: AsyncIterable<readonly [name: string, tensor: Tensor]>;
}

/**
 * Opens the file for as long as `use` runs. Throws `file-missing`, `file-unreadable`, and what its format's reader throws; a
 * file of no known format gets the torch reader's message, which says what it is.
 */
export async function withTensorFile<T>(path: string, use: (file: TensorFile) => Promise<T>): Promise<T> {
  return withFile(path, async (source) => {
    const format = sniffFormat(await source.read(0, Math.min(source.size, SNIFF_LENGTH)));
    const known = format === "safetensors" || format === "gguf" ? format : "torch";
    return use({ format: known, tensors: readers[known](source) });
  });
}

type Tensors = AsyncGenerator<readonly [string, Tensor]>;

const readers = {
  async *torch(source: ByteSource): Tensors {
    yield* tensorsIn(await readTorchFile(source), "");
  },
  async *safetensors(source: ByteSource): Tensors {
    const header = await readSafetensorsHeader(source);
    for (const name of header.tensors.keys()) yield [name, await readSafetensorsTensor(source, header, name)];
  },
  async *gguf(source: ByteSource): Tensors {
    yield* (await readGguf(source)).tensors;
  },
} satisfies { readonly [F in TensorFile["format"]]: (source: ByteSource) => Tensors };

/** Tensors anywhere in a torch value, depth first. Its reader bounds how far shared parts may unfold. */
function* tensorsIn(value: TorchValue, path: string): Generator<readonly [string, Tensor]> {
  if (value instanceof Tensor) {
    yield [path, value];
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of value.entries()) yield* tensorsIn(item, path === "" ? String(key) : `${path}.${key}`);
}
