/** Reading PEFT's folders: what becomes of config and names, and what is refused. */
import { cp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { tensorOf } from "../../src/artefact/artefact.ts";
import { readPeft } from "../../src/artefact/import-peft.ts";
import { matchesPattern, parsePattern } from "../../src/artefact/import-peft-patterns.ts";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { withFile } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { artefactSelection } from "../../src/hub/selection.ts";
import { fixtures, temporaryFolder } from "./places.ts";

const adapter = (name: string) => join(fixtures, "peft", name);
const weights = "adapter_model.safetensors";

/** A copy of an adapter with another config and other tensors. */
async function changed(
  config: Record<string, unknown>,
  edit: (tensors: Map<string, Tensor>) => void = () => {},
): Promise<string> {
  const folder = join(await temporaryFolder(), "adapter");
  await cp(adapter("llama-all"), folder, { recursive: true });
  const path = join(folder, "adapter_config.json");
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...config }));
  const tensors = await withFile(join(folder, weights), readSafetensors);
  edit(tensors);
  await writeFile(join(folder, weights), encodeSafetensors(tensors));
  return folder;
}

const prefix = "base_model.model.model.layers.0.self_attn.q_proj";

describe("readPeft", () => {
  test("one lora per module, in order, with the config's base", async () => {
    const { artefact, notices } = await readPeft(adapter("llama-all"));
    const { base, interventions, provenance, name, summary } = artefact.manifest;
    expect([name, summary]).toEqual([
      "llama-all",
      "LoRA of rank 2, 4, 6 at 28 modules: down_proj, gate_proj, up_proj, k_proj, o_proj, q_proj, v_proj",
    ]);
    expect(base).toEqual({
      ...{ model: "vene-test/llama", revision: "0123abc" },
      ...{ architecture: null, layers: null, hiddenSize: null },
    });
    expect(provenance).toMatchObject({ method: "LoRA", tool: { name: "peft", version: "0.21.2" } });
    expect(provenance!.sourceFiles!.map((file) => file.name)).toEqual(["adapter_config.json", weights]);
    expect(notices).toEqual([]);
    const key = "comp_model_layers[0]_self_attn_q_proj_output_unit_pos_nunit_1#0";
    const first = interventions.find((entry) => entry.key === key)!;
    expect(first).toEqual({
      ...{ key, kind: "lora", maxUnits: 1, dimension: null, parameters: { scaling: 2 } },
      site: { module: "model.layers[0].self_attn.q_proj", side: "output", unit: "pos" },
      tensors: { a: `${key}.a`, b: `${key}.b` },
      strength: { default: 1, min: 0, max: 2 },
      tokens: { prompt: "all", generated: "all" },
    });
    expect(tensorOf(artefact, first, "a")!.shape).toEqual([4, 32]);
    expect(tensorOf(artefact, first, "b")!.shape).toEqual([32, 4]);
  });

  test("scalings by rank and alpha pattern, and rank-stabilised", async () => {
    const of = async (name: string) => {
      const { artefact } = await readPeft(adapter(name));
      return artefact.manifest.interventions.map((entry) => [
        "module" in entry.site ? entry.site.module.replace(/^model\.layers|^transformer\.h/, "") : "",
        entry.kind === "lora" ? entry.parameters.scaling : 0,
      ]);
    };
    const all = new Map((await of("llama-all")) as [string, number][]);
    expect(all.get("[0].self_attn.q_proj")).toBe(8 / 4);
    expect(all.get("[1].self_attn.q_proj")).toBe(3 / 4);
    expect(all.get("[3].self_attn.k_proj")).toBe(8 / 2);
    expect(all.get("[2].mlp.up_proj")).toBe(5 / 6);
    expect(all.get("[2].mlp.down_proj")).toBe(5 / 4);
    expect(await of("llama-rslora")).toEqual(
      ["[1].self_attn.q_proj", "[1].self_attn.v_proj", "[3].self_attn.q_proj", "[3].self_attn.v_proj"].map((module) => [
        module,
        6 / Math.sqrt(3),
      ]),
    );
  });

  test("is found by what reads any folder, and survives format 1", async () => {
    const read = await readArtefact(adapter("gpt2"));
    expect(read.source).toBe("peft");
    const folder = join(await temporaryFolder(), "out");
    const { files, notices } = await writeArtefact(folder, read.artefact);
    expect(files).toEqual(["intervention.json", "intervention.safetensors", "README.md"]);
    expect(notices).toEqual([expect.stringContaining("without files for pyvene")]);
    expect((await readArtefact(folder)).artefact).toEqual(read.artefact);
  });

  test("a base that is a path of somebody's machine is not recorded", async () => {
    const { artefact, notices } = await readPeft(await changed({ base_model_name_or_path: "/home/me/llama" }));
    expect(artefact.manifest.base.model).toBeNull();
    expect(notices).toEqual([expect.stringContaining("names no model on the Hub")]);
  });
});

describe("what is not plain LoRA is refused by name", () => {
  test.each([
    ["peft_type", "IA3"],
    ["peft_type", 7],
    ["bias", "lora_only"],
    ["use_dora", true],
    ["lora_bias", true],
    ["modules_to_save", ["lm_head"]],
    ["trainable_token_indices", [1, 2]],
    ["target_parameters", ["mlp.experts"]],
    ["layer_replication", [[0, 2]]],
    ["alora_invocation_tokens", [3]],
    ["use_qalora", true],
    ["init_lora_weights", "pissa_niter_4"],
    ["init_lora_weights", "olora"],
    ["init_lora_weights", "loftq"],
    ["from_the_future", { on: 1 }],
    ["alpha_pattern", { "(a|a)*b": 2 }],
  ])("%s %j", async (key, value) => {
    await expect(readPeft(await changed({ [key]: value }))).rejects.toMatchObject({
      code: "import-unsupported",
      message: expect.stringContaining(key),
    });
  });

  test("endless patterns", async () => {
    const many = Object.fromEntries(Array.from({ length: 9000 }, (_, i) => [`m${i}`, 2]));
    for (const alpha_pattern of [{ ["a".repeat(5000)]: 2 }, many]) {
      await expect(readPeft(await changed({ alpha_pattern }))).rejects.toMatchObject({ code: "import-unsupported" });
    }
  });

  test.each([
    "base_model.model.model.embed_tokens.lora_embedding_A",
    `${prefix}.lora_magnitude_vector`,
    `${prefix}.lora_B.bias`,
    "base_model.model.lm_head.weight",
    "model.layers.0.self_attn.q_proj.lora_A.weight",
  ])("a tensor %s", async (name) => {
    const folder = await changed({}, (tensors) => tensors.set(name, Tensor.float32([2, 2], [1, 2, 3, 4])));
    await expect(readPeft(folder)).rejects.toMatchObject({
      code: "import-unsupported",
      message: expect.stringContaining(name),
    });
  });

  test.each([["gaussian"], [false], ["eva"], [null]])("init_lora_weights %j changes nothing", async (value) => {
    const { artefact } = await readPeft(await changed({ init_lora_weights: value }));
    expect(artefact.manifest.interventions).toHaveLength(28);
  });
});

describe("files that do not add up", () => {
  test.each([
    ["no rank", { r: null }, "import-invalid"],
    ["a rank of nothing", { r: 0, rank_pattern: {} }, "import-invalid"],
    ["a huge rank", { r: 1e15, rank_pattern: {} }, "import-invalid"],
    ["another rank", { r: 5 }, "import-invalid"],
    ["an alpha in words", { lora_alpha: "8" }, "import-invalid"],
    ["a pattern in words", { alpha_pattern: { q_proj: "8" } }, "import-invalid"],
  ])("%s", async (_, config, code) => {
    await expect(readPeft(await changed(config))).rejects.toMatchObject({ code });
  });

  test.each<[string, (tensors: Map<string, Tensor>) => void, string]>([
    ["no B", (tensors) => tensors.delete(`${prefix}.lora_B.weight`), "import-invalid"],
    ["no tensor at all", (tensors) => tensors.clear(), "import-invalid"],
    [
      "a vector",
      (tensors) => tensors.set(`${prefix}.lora_A.weight`, Tensor.float32([4], [1, 2, 3, 4])),
      "artefact-tensor",
    ],
    ["an empty A", (tensors) => tensors.set(`${prefix}.lora_A.weight`, Tensor.float32([0, 32], [])), "artefact-tensor"],
    [
      "an A and a B of different ranks",
      (tensors) => tensors.set(`${prefix}.lora_B.weight`, Tensor.float32([32, 2], new Float32Array(64))),
      "artefact-tensor",
    ],
    [
      "integers",
      (tensors) => tensors.set(`${prefix}.lora_B.weight`, Tensor.int64([32, 4], new BigInt64Array(128))),
      "artefact-tensor",
    ],
    [
      "not a number",
      (tensors) =>
        tensors.set(`${prefix}.lora_B.weight`, Tensor.float32([32, 4], new Float32Array(128).fill(Number.NaN))),
      "tensor-invalid",
    ],
    [
      "a module that is no path",
      (tensors) => {
        for (const half of ["A", "B"]) {
          tensors.set(`base_model.model.../../etc.lora_${half}.weight`, tensors.get(`${prefix}.lora_${half}.weight`)!);
        }
      },
      "site-unknown",
    ],
  ])("%s", async (_, edit, code) => {
    await expect(readPeft(await changed({}, edit))).rejects.toMatchObject({ code });
  });

  test("cut off, absent, not JSON, not tensors", async () => {
    const folder = await changed({});
    const { length } = await readFile(join(folder, weights));
    for (const kept of [length - 1, length >> 1, 8, 0]) {
      await truncate(join(folder, weights), kept);
      await expect(readPeft(folder)).rejects.toMatchObject({
        code: expect.stringMatching(/^(safetensors|zip)-invalid$/),
      });
    }
    await rm(join(folder, weights));
    await expect(readPeft(folder)).rejects.toMatchObject({ code: "file-missing" });
    await writeFile(join(folder, "adapter_config.json"), "{");
    await expect(readArtefact(folder)).rejects.toMatchObject({ code: "json-invalid" });
    await writeFile(join(folder, "adapter_config.json"), "[]");
    await expect(readArtefact(folder)).rejects.toMatchObject({ code: "import-unsupported" });
  });
});

describe("alpha_pattern", () => {
  // By Python: re.match(rf"(.*\.)?({key})$", path)
  test.each([
    ["q_proj", "model.layers.0.self_attn.q_proj", true],
    ["proj", "model.layers.0.self_attn.q_proj", false],
    ["self.attn.q_proj", "model.layers.0.self_attn.q_proj", true],
    ["self\\.attn.q_proj", "model.layers.0.self_attn.q_proj", false],
    ["layers\\.0\\.self_attn\\.q_proj$", "model.layers.0.self_attn.q_proj", true],
    ["^layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", false],
    ["^model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", true],
    ["k_proj|q_proj", "model.layers.0.self_attn.q_proj", true],
    ["q_proj", "q_proj", true],
    ["a.q_proj", "q_proj", false],
  ])("%s on %s: %s", (key, path, expected) => {
    expect(matchesPattern(parsePattern(key, "test"), path)).toBe(expected);
  });
});

test("of a repository on the Hub, a pull takes the adapter", () => {
  const rest = ["tokenizer.json", "config.json", "optimizer.pt", "checkpoint-10/adapter_config.json"];
  const own = ["adapter_config.json", "adapter_model.safetensors", "README.md"];
  expect(artefactSelection([...rest, ...own, "adapter_model.bin"], "org/lora")).toEqual(own);
  expect(artefactSelection(["adapter_config.json", "adapter_model.bin"], "org/lora")).toEqual([
    "adapter_config.json",
    "adapter_model.bin",
  ]);
});
