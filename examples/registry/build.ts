/**
 * Makes registry/, the registry that comes with vene, and checks that it still is what its recipes and its own blobs give:
 * node build/examples/registry/build.js [--check]
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  checkRegistry,
  importVectorDict,
  initRegistry,
  installIntervention,
  publishIntervention,
  resolveIntervention,
  writeArtefact,
} from "../../src/index.ts";

const about = { name: "vene", namespace: "vene", id: "6a1f5b0e-4d0c-4d55-9f3e-2f7f0a8f7c11" };

/** The bundled model's intervention, named and locked as `vene demo` loads it. */
const demo = "vene/honest-truthful-tiny@^1";

interface Recipe {
  readonly name: string;
  readonly version: string;
  readonly tags: readonly string[];
  readonly at: string;
  /** Where the artefact is, or is made. */
  make(root: string, folder: string): Promise<string>;
}

export const recipes: readonly Recipe[] = [
  {
    name: "vene/honest-truthful-tiny",
    version: "1.0.0",
    tags: ["demo", "honesty", "iti"],
    at: "2026-11-23T12:00:00Z",
    make: async (root) => join(root, "examples/truthful-tiny/honest"),
  },
  {
    name: "vene/honest-llama2-chat-7b",
    version: "1.0.0",
    tags: ["honesty", "iti"],
    at: "2026-11-23T12:00:00Z",
    async make(root, folder) {
      const file = "test/fixtures/wild/pyvene/honest_llama2_chat_7B_o_proj_add_activations.bin";
      const artefact = await importVectorDict(join(root, file), {
        name: "honest-llama2-chat-7b",
        summary: "Makes Llama-2-7b-chat answer more truthfully: the honest-LLaMA activations that pyvene publishes.",
        baseModel: "meta-llama/Llama-2-7b-chat-hf",
        architecture: "llama",
        layers: 32,
        hiddenSize: 4096,
        module: "model.layers[{layer}].self_attn.o_proj.output",
        license: "apache-2.0",
        provenance: {
          method: "inference-time intervention (Li et al., 2023)",
          description:
            "Converted from honest_llama2_chat_7B_o_proj_add_activations.bin of https://github.com/stanfordnlp/pyvene (Apache-2.0, the pyvene authors). The model itself is under Meta's Llama 2 licence.",
        },
      });
      await writeArtefact(folder, artefact, { pyvene: false });
      return folder;
    },
  },
  ...["cheerful", "gloomy", "french"].map((style) => ({
    name: `vene/${style}-smollm2-135m`,
    version: "1.0.0",
    tags: ["style", style],
    at: "2026-11-23T15:40:00Z",
    make: async (root: string) => join(root, "examples/smollm2-styles", style),
  })),
];

/** Everything a call needs, with nothing of this machine in it. */
function options(registry: string, scratch: string) {
  const variables = { HOME: scratch, HF_HUB_OFFLINE: "1" };
  return { registry, cacheFolder: join(scratch, "cache"), hub: { variables } };
}

/** Makes the registry anew in `target`. */
export async function build(root: string, target: string, scratch: string): Promise<void> {
  const where = options(target, scratch);
  await initRegistry({ ...where, ...about });
  for (const { name, version, tags, at, make } of recipes) {
    const folder = await make(root, join(scratch, name.replace("/", "-")));
    await publishIntervention(folder, { ...where, name, version, tags, at, by: "vene" });
  }
}

/** What is wrong with the registry in `root`; empty when all is well. */
export async function faultsOf(root: string, scratch: string): Promise<string[]> {
  const registry = join(root, "registry");
  const where = options(registry, scratch);
  const faults = [...(await checkRegistry(where)).faults];
  const again = join(scratch, "again");
  const there = { ...options(again, scratch), cacheFolder: join(scratch, "cache-again") };
  await initRegistry({ ...there, ...about });
  for (const { name, version, at, make } of recipes) {
    // Released bytes stay as they are, whatever this version of vene would write; the tensors must still come out the same.
    const { release } = await resolveIntervention(`${name}@${version}`, where);
    const released = join(scratch, `released-${name.replace("/", "-")}`);
    mkdirSync(released, { recursive: true });
    for (const { path, sha256 } of release.files) {
      cpSync(join(registry, "blobs/sha256", sha256.slice(0, 2), sha256), join(released, path));
    }
    await publishIntervention(released, { ...there, name, version, tags: release.tags, at, by: "vene" });
    const made = await make(root, join(scratch, name.replace("/", "-")));
    const same = ["intervention.safetensors"].every((file) => {
      return readFileSync(join(made, file)).equals(readFileSync(join(released, file)));
    });
    if (!same) faults.push(`${name}@${version}: its recipe gives other tensors`);
  }
  const [have, due] = [treeOf(registry), treeOf(again)];
  for (const path of new Set([...have.keys(), ...due.keys()])) {
    if (have.get(path) !== due.get(path)) faults.push(`${path} is not what publishing again gives`);
  }
  return faults;
}

function treeOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path, "latin1")];
    }),
  );
}

async function main(check: boolean): Promise<void> {
  const root = resolve(process.cwd());
  const scratch = mkdtempSync(join(tmpdir(), "vene-registry-"));
  try {
    if (check) {
      const faults = await faultsOf(root, scratch);
      for (const fault of faults) process.stderr.write(`${fault}\n`);
      process.exitCode = faults.length === 0 ? 0 : 1;
      return;
    }
    const registry = join(root, "registry");
    rmSync(registry, { recursive: true, force: true });
    await build(root, registry, scratch);
    const lockfile = join(root, "examples/truthful-tiny/interventions.lock.json");
    rmSync(lockfile, { force: true });
    await installIntervention(demo, { ...options(registry, scratch), lockfile });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.includes("--check"));
