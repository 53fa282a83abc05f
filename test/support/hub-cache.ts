/** A hostile Hub and an empty cache per test, and what lies in the cache afterwards. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { HubEnvironment } from "../../src/hub/environment.ts";
import { type Pulled, type PullOptions, pull } from "../../src/hub/pull.ts";
import { parseRepoId } from "../../src/hub/repo-id.ts";
import { artefactSelection, type Selection } from "../../src/hub/selection.ts";
import { HostileHub } from "./hostile-hub.ts";

/** Bytes that compress badly and differ everywhere. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** What intervention.safetensors holds. */
const TENSORS = noise(300_000);

export class PullBench {
  readonly hub = new HostileHub();
  readonly cache = mkdtempSync(join(tmpdir(), "vene-hub-"));

  /** A Hub with an artefact in lab/honest. */
  static async start(): Promise<PullBench> {
    const bench = new PullBench();
    bench.hub.put("intervention.json", '{"format":1}');
    bench.hub.put("intervention.safetensors", TENSORS, true);
    bench.hub.put("README.md", "# honest\n");
    await bench.hub.start();
    return bench;
  }

  stop(): void {
    this.hub.stop();
    rmSync(this.cache, { recursive: true, force: true });
  }

  get folder(): string {
    return join(this.cache, "models--lab--honest");
  }

  pull(
    options: Omit<PullOptions, "hub"> = {},
    changes: Partial<HubEnvironment> = {},
    selection: Selection = artefactSelection,
  ): Promise<Pulled> {
    return pull(this.hub.environment(this.cache, changes), parseRepoId(this.hub.repo), selection, options);
  }

  /** All files and links of the cache, relative, sorted. */
  get kept(): readonly string[] {
    return readdirSync(this.cache, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(this.cache, join(entry.parentPath, entry.name)))
      .sort();
  }

  /** What is left of the file with the tensors: nothing, if its download failed. */
  get keptTensors(): readonly string[] {
    const { lfs } = this.hub.entry("intervention.safetensors") as { lfs: { oid: string } };
    return this.kept.filter((path) => path.includes(lfs.oid) || path.endsWith(".safetensors"));
  }
}
