/** Decoders that torch exported, against transformers' numbers and against vene's own compile of the same checkpoints. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { IntervenableModel } from "../../src/runtime/intervenable/intervenable-model.ts";
import { loadModel } from "../../src/runtime/model.ts";
import { checkExport, steeredAlike } from "../support/against-reference.ts";
import { changedFile, halfAtTheBorder, scrambled } from "../support/exported.ts";
import { fixture, idsOf, readTensors } from "../support/fixtures.ts";

const exported = (name: string) => fixture("exports", `${name}.onnx`);
const names = ["opt-ts", "opt-dy", "llama-ts", "gpt2-ts", "gpt_neox-ts", "gemma2-ts", "phi-ts"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-decoders-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What a family has no place for in an export. */
const missing: Readonly<Record<string, readonly string[]>> = {
  "gpt_neox-ts": ["query_output", "key_output", "value_output"],
};

describe("every export", () => {
  test.each(names)("%s: logits, components, greedy and padded tokens are transformers'", async (name) => {
    const model = await loadModel(exported(name), { threads: 1 });
    await checkExport(model, name.split("-")[0]!, missing[name] ?? []);
    await model.release();
  });

  test.each(["opt-ts", "llama-ts", "gpt_neox-ts"])("%s: the same with every name scrambled", async (name) => {
    const path = changedFile(exported(name), join(folder, `${name}-scrambled.onnx`), scrambled);
    const model = await loadModel(path, { threads: 1 });
    await checkExport(model, name.split("-")[0]!, missing[name] ?? []);
    await model.release();
  });

  // Phi's attention and MLP read one value, which each of them has to itself when it is steered.
  test.each([
    ["opt-dy", ["mlp_activation", "mlp_output"]],
    ["gpt2-ts", ["block_output", "attention_value_output", "query_output"]],
    ["phi-ts", ["attention_input", "mlp_input", "block_input"]],
  ])("%s: steering at %j is that of vene's own compile", async (name, components) => {
    const own = await loadModel(fixture("models", name.split("-")[0]!), { threads: 1 });
    const model = await loadModel(exported(name), { threads: 1 });
    for (const component of components) await steeredAlike(model, own, component);
    await model.release();
    await own.release();
  });
});

describe("components", () => {
  test("of a projection that packs q, k and v by heads are refused by the op's name", async () => {
    const model = await loadModel(exported("gpt_neox-ts"), { threads: 1 });
    const locate = () => model.sites.locate({ layer: 1, component: "query_output", unit: "pos" });
    expect(locate).toThrow(expect.objectContaining({ code: "site-unknown" }));
    expect(locate).toThrow(/MatMul "[^"]*query_key_value/);
    expect(() => model.sites.locate({ layer: 1, component: "attention_weight", unit: "pos" })).toThrow(/rows/);
    expect(() => model.sites.locate({ layer: 4, component: "block_output", unit: "pos" })).toThrow(
      expect.objectContaining({ code: "site-out-of-range" }),
    );
  });

  test("on which names and structure disagree are refused", async () => {
    const path = changedFile(exported("opt-ts"), join(folder, "lying.onnx"), (graph) => ({
      ...graph,
      node: graph.node.map((node) => ({
        ...node,
        name: node.name?.replace("layers.1/fc2", "layers.1/self_attn/out_proj"),
      })),
    }));
    const model = await loadModel(path, { threads: 1 });
    const locate = (component: "attention_output" | "mlp_output") =>
      model.sites.locate({ layer: 1, component, unit: "pos" });
    expect(() => locate("attention_output")).toThrow(/by the graph's structure and .* by its names/);
    expect(locate("mlp_output").width).toBe(32);
  });

  test("heads are those of the cache", async () => {
    const model = await loadModel(exported("llama-ts"), { threads: 1 });
    const heads = (component: "head_query_output" | "head_key_output") =>
      model.sites.locate({ layer: 0, component, unit: "h" }).heads;
    expect(heads("head_query_output")).toEqual({ count: 4, size: 8 });
    expect(heads("head_key_output")).toEqual({ count: 2, size: 8 });
    expect(model.shape).toMatchObject({ layers: 4, hiddenSize: 32, vocabularySize: 96 });
  });

  test("any value name is a site, rows per token; others are refused with their shape", async () => {
    const model = await loadModel(exported("llama-ts"), { threads: 1 });
    const up = "/model/model/layers.1/mlp/up_proj/MatMul_output_0";
    const iv = new IntervenableModel(
      { representations: { component: `value ${up}`, interventionType: "collect" } },
      model,
    );
    const [found] = await iv.collect({ base: [5, 6, 7] });
    expect(found!.shape).toEqual([1, 3, model.sites.locate({ value: up, unit: "pos" }).width]);
    const scores = "/model/model/layers.1/self_attn/MatMul_output_0";
    expect(() => model.sites.locate({ value: scores, unit: "pos" })).toThrow(
      expect.objectContaining({ code: "site-unknown" }),
    );
  });
});

describe("files of other makes", () => {
  async function greedy(path: string): Promise<boolean> {
    const reference = await readTensors(fixture("models", "llama", "reference.safetensors"));
    const prompt = idsOf(reference.get("input_ids")!)[0]!;
    const model = await loadModel(path, { threads: 1 });
    const { tokens } = await model.generate(prompt, { maxNewTokens: 12, eosTokenIds: [] });
    await model.release();
    return [...prompt, ...tokens].join() === reference.get("greedy")!.toNumbers().join();
  }

  test("float16 caches and logits", async () => {
    expect(await greedy(changedFile(exported("llama-ts"), join(folder, "half.onnx"), halfAtTheBorder))).toBe(true);
  });

  test("num_logits_to_keep is set to all", async () => {
    const path = changedFile(exported("llama-ts"), join(folder, "kept.onnx"), (graph) => ({
      ...graph,
      input: [
        ...graph.input,
        { name: "num_logits_to_keep", type: { tensorType: { elemType: 7, shape: { dim: [] } } } },
      ],
      output: [...graph.output, { name: "kept", type: { tensorType: { elemType: 7, shape: { dim: [] } } } }],
      node: [...graph.node, { opType: "Identity", input: ["num_logits_to_keep"], output: ["kept"] }],
    }));
    expect(await greedy(path)).toBe(true);
  });

  test("without a mask, rows of one length run and rows of different lengths are refused", async () => {
    const path = changedFile(exported("opt-ts"), join(folder, "maskless.onnx"), (graph) => ({
      ...graph,
      input: graph.input.filter(({ name }) => name !== "attention_mask"),
      node: [
        { opType: "Shape", input: ["past_key_values.0.key"], output: ["past.shape"] },
        { opType: "Shape", input: ["input_ids"], output: ["ids.shape"] },
        { opType: "Gather", input: ["past.shape", "two"], output: ["past.length"] },
        { opType: "Gather", input: ["ids.shape", "one"], output: ["step.length"] },
        { opType: "Gather", input: ["ids.shape", "zero"], output: ["batch.size"] },
        { opType: "Add", input: ["past.length", "step.length"], output: ["total"] },
        {
          opType: "Concat",
          input: ["batch.size", "total"],
          output: ["mask.shape"],
          attribute: [{ name: "axis", type: 2, i: 0n }],
        },
        { opType: "Expand", input: ["one", "mask.shape"], output: ["attention_mask"] },
        ...graph.node,
      ],
      initializer: [
        ...graph.initializer,
        ...[0n, 1n, 2n].map((value, i) => ({
          name: ["zero", "one", "two"][i]!,
          dims: [1n],
          dataType: 7,
          int64Data: [value],
        })),
      ],
    }));
    const [maskless, usual] = [
      await loadModel(path, { threads: 1 }),
      await loadModel(exported("opt-ts"), { threads: 1 }),
    ];
    const options = { maxNewTokens: 5, eosTokenIds: [] };
    const rows = [
      [5, 6, 7],
      [9, 8, 7],
    ];
    const tokens = async (model: typeof usual) => (await model.generate(rows, options)).map((row) => row.tokens);
    expect(await tokens(maskless)).toEqual(await tokens(usual));
    await expect(maskless.generate([[5, 6, 7], [9]], options)).rejects.toMatchObject({ code: "prompt-invalid" });
    await maskless.release();
    await usual.release();
  });

  test.each<[string, (name: string) => string]>([
    ["an input that vene does not feed", (name) => (name === "position_ids" ? "token_type_ids" : name)],
    ["a layer's cache missing", (name) => (name === "past_key_values.1.key" ? "past_key_values.7.key" : name)],
  ])("refused: %s", async (_, rename) => {
    const path = changedFile(exported("llama-ts"), join(folder, "refused.onnx"), (graph) => ({
      ...graph,
      input: graph.input.map((input) => ({ ...input, name: rename(input.name!) })),
      node: graph.node.map((node) => ({ ...node, input: node.input.map(rename) })),
    }));
    await expect(loadModel(path)).rejects.toMatchObject({ code: "onnx-unsupported" });
  });

  test("a repository folder: onnx/model.onnx with config and end tokens above it", async () => {
    const repo = join(folder, "repo");
    await mkdir(join(repo, "onnx"), { recursive: true });
    await copyFile(exported("llama-ts"), join(repo, "onnx", "model.onnx"));
    await copyFile(fixture("models", "llama", "config.json"), join(repo, "config.json"));
    await writeFile(join(repo, "generation_config.json"), JSON.stringify({ eos_token_id: [3, 4] }));
    for (const source of [repo, join(repo, "onnx", "model.onnx")]) {
      const model = await loadModel(source, { threads: 1 });
      expect([model.architecture, model.folder, [...model.eosTokenIds]]).toEqual(["llama", repo, [3, 4]]);
      expect(model.shape.contextLength).toBeLessThan(10_000);
    }
  });
});
