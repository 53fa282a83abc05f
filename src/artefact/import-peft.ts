/** A LoRA that PEFT saved (adapter_config.json and adapter_model.safetensors or .bin) as an artefact: one `lora` per module. */
import { basename, join, resolve } from "node:path";
import { readSmallFile } from "../base/bytes.ts";
import { sha256OfFile } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { parseJson } from "../formats/json.ts";
import { withTensorFile } from "../formats/tensor-file.ts";
import type { Intervention } from "../spec/intervention.ts";
import { type Site, siteOfPyvene } from "../spec/sites.ts";
import { type Artefact, makeArtefact } from "./artefact.ts";
import { listFolder, MAX_JSON_BYTES } from "./folder.ts";
import { adapterConfigName, type PeftConfig, parsePeftConfig } from "./import-peft-config.ts";
import { interventionKeys } from "./pyvene-keys.ts";
import { nameFrom } from "./pyvene-read.ts";

/** The one that PEFT itself prefers comes first. */
const weightNames = ["adapter_model.safetensors", "adapter_model.bin"] as const;

/** Matrices of one module. */
interface Pair {
  readonly module: string;
  readonly a: Tensor;
  readonly b: Tensor;
}

/**
 * The adapter in a folder that PEFT's save_pretrained wrote. Each module's output y becomes y + scaling B A x for every token, as
 * in PEFT without merging; at strength s it is s times that. Throws `file-missing`, `import-unsupported` for what is not plain
 * LoRA, `import-invalid`, `site-unknown`, `artefact-tensor`, `tensor-invalid`, and what reading the files throws.
 */
export async function readPeft(folder: string): Promise<{ artefact: Artefact; notices: string[] }> {
  const configPath = join(folder, adapterConfigName);
  const config = parsePeftConfig(
    parseJson(await readSmallFile(configPath, MAX_JSON_BYTES), { name: configPath }),
    configPath,
  );
  const path = await weightsIn(folder);
  const pairs = await readPairs(path);
  const sites = pairs.map(({ module }) => siteOf(module));
  const keys = interventionKeys(sites.map((site) => ({ site, maxUnits: 1 })));
  const tensors = new Map(pairs.flatMap(({ a, b }, i) => [[`${keys[i]}.a`, a] as const, [`${keys[i]}.b`, b] as const]));
  const { baseModel, revision, version } = config;
  const artefact = makeArtefact(
    {
      name: nameFrom(basename(resolve(folder))),
      summary: summaryOf(pairs),
      license: "unknown",
      base: {
        model: baseModel ?? null,
        ...(revision === undefined || revision === "" ? {} : { revision }),
        architecture: null,
        layers: null,
        hiddenSize: null,
      },
      mode: "parallel",
      interventions: pairs.map((pair, i) => loraAt(sites[i]!, keys[i]!, pair, config)),
      provenance: {
        method: "LoRA",
        tool: { name: "peft", version: version ?? "unknown" },
        sourceFiles: await Promise.all(
          [configPath, path].map(async (file) => ({ name: basename(file), sha256: await sha256OfFile(file) })),
        ),
      },
    },
    tensors,
  );
  const notices =
    baseModel === undefined
      ? [`${adapterConfigName} names no model on the Hub: what it was made for is for you to know`]
      : [];
  return { artefact, notices };
}

async function weightsIn(folder: string): Promise<string> {
  const found = (await listFolder(folder)) ?? [];
  const name = weightNames.find((each) => found.includes(each));
  if (name !== undefined) return join(folder, name);
  throw new VeneError("file-missing", `${folder} has ${adapterConfigName}, but neither ${weightNames.join(" nor ")}`, {
    hint: "the adapter's weights were not copied or not downloaded",
    details: { folder, found: found.slice(0, 20) },
  });
}

const loraName = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** A and B of every module, in order of their paths. */
async function readPairs(path: string): Promise<Pair[]> {
  const halves = new Map<string, { a?: Tensor; b?: Tensor }>();
  await withTensorFile(path, async ({ tensors }) => {
    for await (const [name, tensor] of tensors) {
      const found = loraName.exec(name);
      if (found === null) throw notLora(path, name);
      if (tensor.shape.length !== 2 || tensor.size === 0) {
        throw new VeneError("artefact-tensor", `${path}: ${name} is [${tensor.shape}], expected a matrix`, {
          details: { path, name, shape: tensor.shape },
        });
      }
      const module = found[1]!;
      const half = halves.get(module) ?? {};
      halves.set(module, { ...half, [found[2] === "A" ? "a" : "b"]: tensor });
    }
  });
  if (halves.size === 0) throw new VeneError("import-invalid", `${path} holds no tensor`, { details: { path } });
  const order = new Intl.Collator("en", { numeric: true });
  return [...halves]
    .sort(([one], [other]) => order.compare(one, other))
    .map(([module, { a, b }]) => {
      if (a !== undefined && b !== undefined) return { module, a, b };
      throw new VeneError("import-invalid", `${path}: ${module} has no lora_${a === undefined ? "A" : "B"}`, {
        hint: "the file is incomplete; fetch or save the adapter again",
        details: { path, module },
      });
    });
}

function notLora(path: string, name: string): VeneError {
  return new VeneError(
    "import-unsupported",
    `${path} holds ${JSON.stringify(name.slice(0, 200))}, not a lora_A or lora_B`,
    {
      hint: "vene reads LoRA on Linear and Conv1D modules: no embeddings, biases, DoRA or whole modules",
      details: { path, name: name.slice(0, 200) },
    },
  );
}

/** "model.layers.0.self_attn.q_proj" is "model.layers[0].self_attn.q_proj" in pyvene. Throws `site-unknown`. */
function siteOf(module: string): Site {
  return siteOfPyvene(0, `${module.replace(/\.(\d+)(?=\.|$)/g, "[$1]")}.output`, "pos");
}

function loraAt(site: Site, key: string, { module, a }: Pair, config: PeftConfig): Intervention {
  return {
    key,
    kind: "lora",
    site,
    maxUnits: 1,
    parameters: { scaling: config.scalingOf(module, a.shape[0]!) },
    tensors: { a: `${key}.a`, b: `${key}.b` },
    dimension: null,
    strength: { default: 1, min: 0, max: 2 },
    tokens: { prompt: "all", generated: "all" },
  };
}

function summaryOf(pairs: readonly Pair[]): string {
  const ranks = [...new Set(pairs.map(({ a }) => a.shape[0]!))].sort((one, other) => one - other);
  const names = [...new Set(pairs.map(({ module }) => module.split(".").at(-1)!))].slice(0, 12);
  const modules = pairs.length === 1 ? "one module" : `${pairs.length} modules`;
  return `LoRA of rank ${ranks.slice(0, 4).join(", ")} at ${modules}: ${names.join(", ")}`.slice(0, 1000);
}
