/** Checkpoint folders made from the fixtures, changed or damaged, in a temporary place. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "../../src/base/tensor.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { fixture, readTensors } from "./fixtures.ts";

export type Config = Record<string, unknown>;

export interface Changes {
  /** Name below fixtures/models; default llama. */
  readonly from?: string;
  /** Fields to set in config.json; undefined removes one. */
  readonly config?: Config;
  readonly tensors?: (tensors: Map<string, Tensor>) => Map<string, Tensor>;
  /** Further files, or other content for those there; null leaves one out. */
  readonly files?: Readonly<Record<string, string | Uint8Array | null>>;
}

/** A temporary place that many checkpoints and caches are made in and that vanishes whole. */
export class Workshop {
  readonly root: string;
  #made = 0;

  private constructor(root: string) {
    this.root = root;
  }

  static async open(): Promise<Workshop> {
    return new Workshop(await mkdtemp(join(tmpdir(), "vene-test-")));
  }

  async close(): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  async folder(): Promise<string> {
    const path = this.path(`made-${this.#made++}`);
    await mkdir(path);
    return path;
  }

  /** A copy of a fixture's checkpoint with changes. */
  async checkpoint(changes: Changes = {}): Promise<string> {
    const from = fixture("models", changes.from ?? "llama");
    const path = await this.folder();
    for (const name of await readdir(from)) {
      if (name !== "reference.safetensors") await copyFile(join(from, name), join(path, name));
    }
    if (changes.config !== undefined) {
      const config = JSON.parse(await readFile(join(path, "config.json"), "utf8")) as Config;
      await writeFile(join(path, "config.json"), JSON.stringify({ ...config, ...changes.config }));
    }
    if (changes.tensors !== undefined) {
      const tensors = changes.tensors(await readTensors(join(path, "model.safetensors")));
      await writeFile(join(path, "model.safetensors"), encodeSafetensors(tensors));
    }
    for (const [name, content] of Object.entries(changes.files ?? {})) {
      if (content === null) await rm(join(path, name));
      else await writeFile(join(path, name), content);
    }
    return path;
  }

  /** A copy whose tensors are dealt in turn to `count` shards, with their index. */
  async sharded(count: number, changes: Changes = {}): Promise<string> {
    const path = await this.checkpoint(changes);
    const tensors = [...(await readTensors(join(path, "model.safetensors")))];
    const nameOf = (shard: number) => `model-0000${shard + 1}-of-0000${count}.safetensors`;
    const map = Object.fromEntries(tensors.map(([name], i) => [name, nameOf(i % count)]));
    for (let shard = 0; shard < count; shard++) {
      await writeFile(
        join(path, nameOf(shard)),
        encodeSafetensors(new Map(tensors.filter((_, i) => i % count === shard))),
      );
    }
    await rm(join(path, "model.safetensors"));
    await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
    return path;
  }
}
