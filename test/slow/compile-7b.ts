/** Child of the slow test: writes a LLaMA-2-7B-shaped checkpoint with random weights, compiles it, resolves 14 sites, reports memory. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../../src/arch/checkpoint.ts";
import { familyOf } from "../../src/arch/families.ts";
import { float32Weights } from "../../src/arch/float32-copy.ts";
import { readArtefact } from "../../src/artefact/read.ts";
import { writeFileWith } from "../../src/base/atomic.ts";
import { encodeSafetensorsHeader } from "../../src/formats/safetensors-encode.ts";
import { serialiseGraph } from "../../src/graph/serialise.ts";
import { instrument } from "../../src/interventions/points.ts";

const [folder = "", artefactFolder = "", convert = ""] = process.argv.slice(2);
const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  vocab_size: 32000,
  tie_word_embeddings: false,
  hidden_act: "silu",
};
const SHARDS = 4;

function tensorsOf(): { name: string; shape: number[] }[] {
  const { hidden_size: h, intermediate_size: i, vocab_size: v } = config;
  const layer = (n: number) => [
    ...["q", "k", "v", "o"].map((p) => ({ name: `model.layers.${n}.self_attn.${p}_proj.weight`, shape: [h, h] })),
    { name: `model.layers.${n}.mlp.gate_proj.weight`, shape: [i, h] },
    { name: `model.layers.${n}.mlp.up_proj.weight`, shape: [i, h] },
    { name: `model.layers.${n}.mlp.down_proj.weight`, shape: [h, i] },
    { name: `model.layers.${n}.input_layernorm.weight`, shape: [h] },
    { name: `model.layers.${n}.post_attention_layernorm.weight`, shape: [h] },
  ];
  return [
    { name: "model.embed_tokens.weight", shape: [v, h] },
    ...Array.from({ length: config.num_hidden_layers }, (_, n) => layer(n)).flat(),
    { name: "model.norm.weight", shape: [h] },
    { name: "lm_head.weight", shape: [v, h] },
  ];
}

/** bfloat16 bytes of small random numbers: a megabyte of them, repeated. */
function randomBlock(): Uint8Array {
  const bits = new Uint16Array(1 << 19);
  for (let i = 0; i < bits.length; i++) bits[i] = 0x3c00 + Math.floor(Math.random() * 0x100) + (i & 1) * 0x8000;
  return new Uint8Array(bits.buffer);
}

async function writeCheckpoint(): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const tensors = tensorsOf();
  const block = randomBlock();
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < SHARDS; shard++) {
    const file = `model-0000${shard + 1}-of-0000${SHARDS}.safetensors`;
    const own = tensors.filter((_, i) => Math.floor((i * SHARDS) / tensors.length) === shard);
    const header = encodeSafetensorsHeader(own.map(({ name, shape }) => ({ name, shape, dtype: "bfloat16" as const })));
    for (const { name } of own) weightMap[name] = file;
    await writeFileWith(join(folder, file), async (handle) => {
      await handle.writeFile(header.bytes);
      for (let left = header.size - header.bytes.length; left > 0; left -= block.length) {
        await handle.writeFile(left < block.length ? block.subarray(0, left) : block);
      }
    });
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
}

async function peakRssMb(): Promise<number> {
  return Number(/VmHWM:\s+(\d+)/.exec(await readFile("/proc/self/status", "utf8"))?.[1] ?? 0) / 1024;
}

await writeCheckpoint();
const started = performance.now();
const checkpoint = await openCheckpoint(folder);
const family = familyOf(checkpoint.config);
const { graph, sites } = family.compile(checkpoint.config, checkpoint.weights);
const { artefact } = await readArtefact(artefactFolder);
const places = artefact.manifest.interventions.map(({ site }) => sites.locate(site));
instrument(
  graph,
  places.map(({ value, width }) => ({ value, width, edit: "add", read: false }) as const),
);
const bytes = serialiseGraph(graph, (name) => {
  const { file, start, end } = checkpoint.weights.entries.get(name)!;
  return { location: file, offset: start, length: end - start };
});
const compileMs = performance.now() - started;
const compilePeakMb = await peakRssMb();
if (convert === "convert") {
  await float32Weights(checkpoint.weights, [...checkpoint.weights.entries.keys()], {
    cacheFolder: join(folder, "cache"),
  });
}
const report = { places, graphBytes: bytes.length, compileMs, compilePeakMb, convertPeakMb: await peakRssMb() };
process.stdout.write(`${JSON.stringify(report)}\n`);
