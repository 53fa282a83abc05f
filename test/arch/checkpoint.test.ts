/** Checkpoint folders that are incomplete, contradict themselves or lie: each gives the error that says so. */
import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Tensor } from "../../src/base/tensor.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { type Changes, Workshop } from "../support/checkpoints.ts";
import { fixture } from "../support/fixtures.ts";
import { logitsOfFolder } from "../support/logits.ts";

let shop: Workshop;
beforeAll(async () => {
  shop = await Workshop.open();
});
afterAll(() => shop.close());

const ids = [1, 17, 88, 42, 5];
const indexName = "model.safetensors.index.json";

async function refusal(changes: Changes): Promise<unknown> {
  return loadModel(await shop.checkpoint(changes)).then(
    () => "it loaded",
    (error: unknown) => error,
  );
}

describe("config.json", () => {
  test.each<[string, Changes, object]>([
    [
      "missing",
      { files: { "config.json": null } },
      { code: "checkpoint-invalid", message: expect.stringContaining("no config.json") },
    ],
    ["not JSON", { files: { "config.json": "{" } }, { code: "json-invalid" }],
    ["empty", { files: { "config.json": "" } }, { code: "json-invalid" }],
    ["a list", { files: { "config.json": "[]" } }, { code: "checkpoint-invalid" }],
    ["null", { files: { "config.json": "null" } }, { code: "checkpoint-invalid" }],
    [
      "a key twice",
      { files: { "config.json": '{"model_type":"llama","model_type":"gpt2"}' } },
      { code: "json-invalid" },
    ],
    ["too large", { files: { "config.json": `{"a":"${"x".repeat(1 << 20)}"}` } }, { code: "file-unreadable" }],
    [
      "without model_type",
      { config: { model_type: undefined } },
      { code: "checkpoint-invalid", details: { key: "model_type" } },
    ],
    [
      "an unknown model_type",
      { config: { model_type: "rwkv" } },
      { code: "architecture-unknown", hint: expect.stringContaining("llama") },
    ],
    ["a name of Object's as model_type", { config: { model_type: "constructor" } }, { code: "architecture-unknown" }],
    [
      "a number as model_type",
      { config: { model_type: 7 } },
      { code: "checkpoint-invalid", details: { key: "model_type", found: 7 } },
    ],
    [
      "no hidden_size",
      { config: { hidden_size: undefined } },
      { code: "checkpoint-invalid", details: { key: "hidden_size" } },
    ],
    ["a negative hidden_size", { config: { hidden_size: -32 } }, { code: "checkpoint-invalid" }],
    ["a fractional layer count", { config: { num_hidden_layers: 2.5 } }, { code: "checkpoint-invalid" }],
    ["zero heads", { config: { num_attention_heads: 0 } }, { code: "checkpoint-invalid" }],
    ["kv heads that do not divide", { config: { num_key_value_heads: 3 } }, { code: "config-unsupported" }],
    [
      "an activation nobody knows",
      { config: { hidden_act: "quick_silu" } },
      { code: "config-unsupported", message: expect.stringContaining("quick_silu") },
    ],
    [
      "quantised weights",
      { config: { quantization_config: { quant_method: "fp8", weight_block_size: [128, 128] } } },
      {
        code: "config-unsupported",
        message: expect.stringContaining("quantization_config"),
        details: { method: "fp8" },
      },
    ],
    ["text as a bias flag", { config: { attention_bias: "yes" } }, { code: "checkpoint-invalid" }],
    [
      "a name as token id",
      { config: { eos_token_id: "</s>" }, files: { "generation_config.json": null } },
      { code: "checkpoint-invalid" },
    ],
    ["a broken generation_config.json", { files: { "generation_config.json": "nope" } }, { code: "json-invalid" }],
  ])("%s", async (_, changes, expected) => {
    expect(await refusal(changes)).toMatchObject(expected);
  });

  test.each(["yarn", "dynamic", "proportional", "toString"])("rope type %s is refused by name", async (type) => {
    const config = { rope_parameters: { rope_type: type, rope_theta: 1e4, factor: 2 } };
    expect(await refusal({ config })).toMatchObject({
      code: "config-unsupported",
      message: expect.stringContaining(type),
    });
  });

  test.each<[string, object]>([
    ["factor 0", { rope_type: "linear", rope_theta: 1e4, factor: 0 }],
    ["theta 0", { rope_type: "default", rope_theta: 0 }],
    ["a negative theta", { rope_type: "default", rope_theta: -5 }],
    ["no factor", { rope_type: "linear", rope_theta: 1e4 }],
    [
      "equal llama3 factors",
      {
        rope_type: "llama3",
        rope_theta: 1e4,
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 1,
        original_max_position_embeddings: 6.283185307179586,
      },
    ],
  ])("a rope with %s is refused rather than computed with", async (_, rope) => {
    expect(await refusal({ config: { rope_parameters: rope } })).toMatchObject({ code: "checkpoint-invalid" });
  });

  test.each([
    ["layers", { num_hidden_layers: 2 ** 31 - 1 }],
    ["heads", { num_attention_heads: 2 ** 30, num_key_value_heads: 2 ** 30 }],
    ["head size", { head_dim: 2 ** 31 - 2 }],
    ["vocabulary", { vocab_size: 2 ** 31 - 1 }],
    ["hidden size", { hidden_size: 2 ** 31 - 1 }],
    ["context", { max_position_embeddings: 2 ** 31 - 1, num_hidden_layers: 5 }],
  ])("enormous numbers are refused before anything is allocated: %s", async (_, config) => {
    const before = process.memoryUsage();
    expect(await refusal({ config })).toMatchObject({
      code: expect.stringMatching(/^(checkpoint-invalid|weights-missing)$/),
    });
    const after = process.memoryUsage();
    expect(after.heapTotal + after.arrayBuffers - before.heapTotal - before.arrayBuffers).toBeLessThan(200e6);
  });

  test("pad_token_id -1, as LLaMA 1 checkpoints have it, means none", async () => {
    const model = await loadModel(await shop.checkpoint({ config: { pad_token_id: -1 } }));
    expect(model.padTokenId).toBe(2);
    await model.release();
  });

  test("a pad token beyond the vocabulary does not stop batches", async () => {
    const model = await loadModel(await shop.checkpoint({ config: { pad_token_id: 96 } }));
    const rows = await model.generate([ids, [3]], { maxNewTokens: 3, eosTokenIds: [] });
    expect(rows[1]!.tokens).toEqual((await model.generate([3], { maxNewTokens: 3, eosTokenIds: [] })).tokens);
    await model.release();
  });

  test.each(["", "x".repeat(300)])("an unusable _name_or_path gives way to the folder's name", async (name) => {
    const folder = await shop.checkpoint({ config: { _name_or_path: name } });
    const model = await loadModel(folder);
    expect(model.name).toBe(basename(folder));
  });
});

describe("weights", () => {
  test("of another size name the tensor and both shapes", async () => {
    expect(await refusal({ config: { hidden_size: 48 } })).toMatchObject({
      code: "weights-missing",
      message: "model.embed_tokens.weight is [96,32], the config says [96,48]",
      details: { name: "model.embed_tokens.weight", found: [96, 32], expected: [96, 48] },
    });
  });

  test("that lack a layer, a matrix or the head name what is missing", async () => {
    expect(await refusal({ config: { num_hidden_layers: 5 } })).toMatchObject({
      code: "weights-missing",
      details: { name: "model.layers.4.input_layernorm.weight" },
    });
    for (const name of ["model.layers.2.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"]) {
      const tensors = (all: Map<string, Tensor>) => new Map([...all].filter(([key]) => key !== name));
      expect(await refusal({ tensors })).toMatchObject({ code: "weights-missing", details: { name } });
    }
  });

  test("of another rank are no match, even with as many elements", async () => {
    const tensors = (all: Map<string, Tensor>) =>
      all.set("model.norm.weight", Tensor.float32([1, 32], new Float32Array(32)));
    expect(await refusal({ tensors })).toMatchObject({
      code: "weights-missing",
      details: { found: [1, 32], expected: [32] },
    });
  });

  test("of a dtype without numbers are refused when they are needed", async () => {
    const tensors = (all: Map<string, Tensor>) =>
      all.set("model.norm.weight", new Tensor("float8_e4m3fn", [32], new Uint8Array(32)));
    const folder = await shop.checkpoint({ tensors });
    await expect(logitsOfFolder(folder, ids, { cacheFolder: shop.path("f8") })).rejects.toMatchObject({
      code: "tensor-invalid",
    });
  });

  test("missing altogether, or as .bin, or as a folder", async () => {
    expect(await refusal({ files: { "model.safetensors": null } })).toMatchObject({
      code: "weights-missing",
      hint: expect.stringContaining("safetensors"),
    });
    const folder = await shop.checkpoint({ files: { "model.safetensors": null } });
    await mkdir(join(folder, "model.safetensors"));
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(loadModel(join(folder, "nowhere"))).rejects.toMatchObject({ code: "file-missing" });
  });

  test("a file that was cut, that lies, or that is something else", async () => {
    const bytes = await readFile(fixture("models", "llama", "model.safetensors"));
    const damaged: readonly Uint8Array[] = [
      new Uint8Array(0),
      bytes.subarray(0, 7),
      bytes.subarray(0, 500),
      bytes.subarray(0, bytes.length - 1),
      Buffer.concat([bytes, Buffer.from([0])]),
      Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), bytes.subarray(8)]),
      Buffer.from(bytes.toString("latin1").replace('"shape":[96,32]', '"shape":[96,64]'), "latin1"),
      Buffer.from(bytes.toString("latin1").replace('"data_offsets":[0,', '"data_offsets":[9,'), "latin1"),
      Buffer.from("PK\x03\x04not weights at all"),
      Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 164848\n"),
    ];
    for (const [i, content] of damaged.entries()) {
      expect([i, await refusal({ files: { "model.safetensors": content } })]).toMatchObject([
        i,
        { code: "safetensors-invalid" },
      ]);
    }
  });
});

describe("shards", () => {
  let expected: Float32Array;
  beforeAll(async () => {
    expected = await logitsOfFolder(fixture("models", "llama"), ids);
  });

  test("three with an index compute what the single file does", async () => {
    expect(await logitsOfFolder(await shop.sharded(3), ids)).toEqual(expected);
  });

  test("behind links, in one blob folder as the Hub's cache has them, too", async () => {
    const folder = await shop.sharded(2);
    const blobs = shop.path("blobs");
    await mkdir(blobs);
    for (const [i, name] of ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].entries()) {
      await rename(join(folder, name), join(blobs, `blob${i}`));
      await symlink(join(blobs, `blob${i}`), join(folder, name));
    }
    expect(await logitsOfFolder(folder, ids)).toEqual(expected);
  });

  test("in several folders behind links are brought together", async () => {
    const folder = await shop.sharded(2);
    const name = "model-00002-of-00002.safetensors";
    await mkdir(shop.path("elsewhere"));
    await rename(join(folder, name), shop.path("elsewhere", name));
    await symlink(shop.path("elsewhere", name), join(folder, name));
    expect(await logitsOfFolder(folder, ids, { cacheFolder: shop.path("together") })).toEqual(expected);
  });

  test("one of them missing is named, and so is a link to nowhere", async () => {
    const folder = await shop.sharded(3);
    const shard = "model-00002-of-00003.safetensors";
    await rm(join(folder, shard));
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "weights-missing", details: { shard } });
    await symlink(shop.path("gone"), join(folder, shard));
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "weights-missing", details: { shard } });
  });

  test("a tensor in two of them is refused", async () => {
    const folder = await shop.sharded(2);
    const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    await copyFile(join(folder, one!), join(folder, two!));
    await expect(loadModel(folder)).rejects.toMatchObject({
      code: "checkpoint-invalid",
      message: expect.stringContaining("again in"),
    });
  });

  test.each<[string, unknown]>([
    ["a path upwards", { weight_map: { a: "../model.safetensors" } }],
    ["an absolute path", { weight_map: { a: "/etc/passwd.safetensors" } }],
    ["a Windows path", { weight_map: { a: "c:\\model.safetensors" } }],
    ["a pickle", { weight_map: { a: "pytorch_model.bin" } }],
    ["a number", { weight_map: { a: 3 } }],
    ["no weight_map", { metadata: {} }],
    ["weight_map null", { weight_map: null }],
    ["a weight_map of text", { weight_map: "model.safetensors" }],
    ["null", null],
    ["a list", []],
    ["text", "model.safetensors"],
    [
      "too many",
      { weight_map: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, `${i}.safetensors`])) },
    ],
  ])("an index with %s is refused", async (_, index) => {
    const folder = await shop.sharded(2);
    await writeFile(join(folder, indexName), JSON.stringify(index));
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  test("an empty weight_map has no weights, a broken index is not JSON", async () => {
    const folder = await shop.sharded(2);
    await writeFile(join(folder, indexName), '{"weight_map":{}}');
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "weights-missing" });
    await writeFile(join(folder, indexName), '{"weight_map":{');
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "json-invalid" });
  });
});
