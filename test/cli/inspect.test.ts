import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readArtefact, writeArtefact } from "../../src/index.ts";
import { fixture } from "../support/fixtures.ts";
import { ESC, honest, scratch, tiny, vene, veneJson } from "./terminal.ts";

const cheerful = fixture("smollm2", "cheerful", "saved");
const honestVectors = fixture("wild", "pyvene", "honest_llama2_chat_7B_o_proj_add_activations.bin");

describe("an artefact", () => {
  test("as pyvene saved it: sites, tensors with norm and digest", async () => {
    const { code, json, err } = await veneJson(["inspect", cheerful]);
    expect([code, err]).toEqual([0, expect.stringContaining("notice: pyvene records no base model")]);
    const key = "layer_20_comp_block_output_unit_pos_nunit_1#0";
    expect(json).toMatchObject({
      is: "artefact",
      source: "pyvene",
      license: "unknown",
      base: { model: null },
      mode: "parallel",
    });
    expect(json.interventions).toEqual([
      expect.objectContaining({
        ...{ key, kind: "addition", site: "layer 20 block_output", unit: "pos", tokens: "generated" },
        strength: { default: 1, min: -4, max: 4 },
      }),
    ]);
    const [tensor] = json.interventions[0].tensors;
    const { artefact } = await readArtefact(cheerful);
    const { bytes } = artefact.tensors.get(`${key}.source`)!;
    expect(tensor).toMatchObject({ role: "source", name: `${key}.source`, dtype: "float32", shape: [576] });
    expect(tensor.norm).toBeCloseTo(38.07230736894644, 9);
    expect(tensor.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
  });

  test("in vene's format: base, summary, evaluation, digest of its file", async () => {
    const { json, err } = await veneJson(["inspect", honest]);
    const manifest = JSON.parse(readFileSync(join(honest, "intervention.json"), "utf8"));
    expect(err).toMatch(/^notice: pyvene stores no tokens policy \(here prompt=last;generated=none\)/);
    expect(json).toMatchObject({ source: "format1", name: "honest", license: "apache-2.0", base: manifest.base });
    expect(json.digest).toBe(manifest.files["intervention.safetensors"].sha256);
    expect(json.interventions).toHaveLength(manifest.interventions.length);
    expect(json.interventions[0]).toMatchObject({ tokens: "prompt=last;generated=none" });
  });

  test("as text: facts, then a row per intervention and per tensor", async () => {
    const { out } = await vene(["inspect", fixture("format1", "cheerful")]);
    expect(out).toMatch(/^intervention: +cheerful\n/);
    expect(out).toMatch(/^base: +HuggingFaceTB\/SmolLM2-135M-Instruct$/m);
    expect(out).toMatch(/^base shape: +llama, 30 layers, hidden size 576$/m);
    expect(out).toMatch(/^layer_20_\S+ +addition +layer 20 block_output +pos +576 +1 \(-4 to 4\) +generated$/m);
    expect(out).toMatch(/^layer_20_\S+\.source +float32 +\[576\] +38\.0723 +71ed983626a4$/m);
  });

  test("a unit of heads is told from its site", async () => {
    const { json } = await veneJson(["inspect", fixture("cases", "llama", "zero_heads", "saved")]);
    expect(json.interventions[0]).toMatchObject({
      kind: "zero",
      unit: "h.pos",
      site: expect.not.stringContaining("unit"),
      tensors: [],
    });
  });

  const saved = (name: string) => fixture("cases", "llama", name, "saved");
  test.each<[string, object, number]>([
    ["trained_RotatedSpaceIntervention", { kind: "rotated-space", width: 32, trainable: 1024 }, 1024],
    [
      "trained_LowRankRotatedSpaceIntervention",
      { kind: "low-rank-rotated-space", width: 32, rank: 4, trainable: 128 },
      128,
    ],
    ["trained_lowrank_two_units", { kind: "low-rank-rotated-space", width: 64, rank: 3, trainable: 192 }, 192],
    [
      "trained_BoundlessRotatedSpaceIntervention",
      { kind: "boundless-rotated-space", width: 32, trainable: 1025 },
      1025,
    ],
    ["trained_AutoencoderIntervention", { kind: "autoencoder", width: 32, latents: 64, trainable: 4192 }, 4192],
    ["trained_JumpReLUAutoencoderIntervention", { width: 32, latents: 64, trainable: 4256, dimension: 32 }, 4256],
    // One rotation for both.
    ["trained_linked", { link: 0, rank: 4, trainable: 128 }, 128],
    ["vanilla_block_output", { kind: "vanilla", trainable: 0 }, 0],
  ])("dims and what training changes: %s", async (name, facts, trainable) => {
    const { code, json } = await veneJson(["inspect", saved(name)]);
    expect([code, json.trainable, json.pyvene.loadable]).toEqual([0, trainable, true]);
    expect(json.interventions[0]).toMatchObject(facts);
  });

  test("dims as text, and a rank in the wild", async () => {
    const { out, err } = await vene(["inspect", fixture("wild", "easysteer", "reft_loreft")]);
    expect(out).toMatch(/^trainable: +12292 numbers$/m);
    expect(out).toMatch(/^for pyvene: +yes$/m);
    expect(out).toMatch(/^layer_8_\S+ +loreft +layer 8 block_output +pos +1536, rank 4 +1 \(0 to 1\) +generated$/m);
    expect(err).toMatch(/notice: pyreft does not store the act_fn of a loreft/);
    const autoencoder = await vene(["inspect", saved("trained_AutoencoderIntervention")]);
    expect(autoencoder.out).toMatch(/ 32, 64 latents /);
  });

  test.each([
    ["noise", false, /cannot be written for pyvene: a noise is a NoiseIntervention/],
    ["collect_heads", true, /pyvene cannot load \S+ from a folder that pyvene saved/],
    ["vanilla_query_output", true, /pyvene takes such a site for hidden_size wide/],
    ["trained_LowRankRotatedSpaceIntervention", true, /off from orthonormal by 1\.0/],
  ])("what pyvene gets wrong: %s", async (name, loadable, notice) => {
    const { json, err } = await veneJson(["inspect", saved(name)]);
    expect(json.pyvene.loadable).toBe(loadable);
    expect(json.notices).toContainEqual(expect.stringMatching(notice));
    expect(err).toMatch(notice);
  });

  test("cannot drive the terminal", async () => {
    const folder = join(scratch(), "hostile");
    const { artefact } = await readArtefact(honest);
    const manifest = { ...artefact.manifest, summary: `${ESC}[2Jgone\nlicence: mit`, license: `\u009b31m` };
    await writeArtefact(folder, { ...artefact, manifest });
    const { out } = await vene(["inspect", folder], { stdoutIsTerminal: true });
    expect(out).not.toMatch(new RegExp(`[${ESC}\u009b]`));
    expect(out).toContain("\\x1b[2Jgone\\nlicence: mit\n");
  });
});

describe("a model", () => {
  test("family, sizes, parameters, components with heads", async () => {
    const { code, json, err } = await veneJson(["inspect", tiny]);
    expect([code, err]).toEqual([0, ""]);
    expect(json).toMatchObject({
      ...{ is: "model", name: "truthful-tiny", family: "llama", layers: 6, hiddenSize: 128, vocabularySize: 533 },
      ...{
        contextLength: 128,
        parameters: { count: 954624, dtypes: ["bfloat16"] },
        tokenizer: true,
        chatTemplate: false,
      },
    });
    const components = new Map(json.components.map((one: { component: string }) => [one.component, one]));
    expect(components.get("mlp_activation")).toMatchObject({ width: 256, heads: null });
    expect(components.get("head_key_output")).toMatchObject({ width: 64, heads: { count: 4, size: 16 } });
    expect(json.fingerprint).toBe(JSON.parse(readFileSync(join(honest, "intervention.json"), "utf8")).base.fingerprint);
  });

  test("as text, also without a tokenizer", async () => {
    const { code, out } = await vene(["inspect", fixture("models", "gpt2")]);
    expect(code).toBe(0);
    expect(out).toMatch(/^family: +gpt2$/m);
    expect(out).toMatch(/^tokenizer: +no: prompts must be token ids$/m);
    expect(out).toMatch(/^head_query_output +\d+ +\d+ +\d+ /m);
  });
});

describe("a file of tensors", () => {
  test("a torch dict, by layer", async () => {
    const { code, json } = await veneJson(["inspect", honestVectors]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ is: "tensors", format: "torch" });
    expect(json.tensors.map(({ name }: { name: string }) => name)).toEqual(
      Array.from({ length: 32 }, (_, i) => String(i)),
    );
    expect(json.tensors[0]).toMatchObject({ dtype: "bfloat16", shape: [4096], norm: 0, min: 0, max: 0 });
    expect(json.tensors[6].norm).toBeGreaterThan(0);
  });

  test("a bare tensor, a GGUF control vector, safetensors", async () => {
    const wild = (name: string) => fixture("wild", "easysteer", name);
    const bare = await vene(["inspect", wild("task_vector_layer-10.pt")]);
    expect(bare.out).toMatch(/^\(the file itself\) +float16 +\[4096\] +0\.754219 /m);
    const gguf = await veneJson(["inspect", wild("diffmean-1.gguf")]);
    expect(gguf.json.format).toBe("gguf");
    expect(gguf.json.tensors[0]).toMatchObject({ name: "direction.0", shape: [1536] });
    expect(gguf.json.tensors[0].norm).toBeCloseTo(1, 5);
    const weights = await veneJson(["inspect", join(tiny, "model.safetensors")]);
    expect(
      weights.json.tensors.reduce(
        (sum: number, { shape }: { shape: number[] }) => sum + shape.reduce((a, b) => a * b, 1),
        0,
      ),
    ).toBe(954624);
  });

  test("NaN and infinity show", async () => {
    const path = join(scratch(), "bad.safetensors");
    const header = Buffer.from('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'.padEnd(56));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, header, Buffer.from(Float32Array.of(1, Number.NaN, 2).buffer)]));
    const { out } = await vene(["inspect", path]);
    expect(out).toMatch(/^a +float32 +\[3\] +NaN +NaN +NaN /m);
  });
});

describe("refusals", () => {
  const other = scratch();
  writeFileSync(join(other, "notes.txt"), "hello");
  const unknown = scratch();
  writeFileSync(join(unknown, "config.json"), '{"model_type": "mamba9"}');
  writeFileSync(join(unknown, "model.safetensors"), "\u0002\0\0\0\0\0\0\0{}");
  const truncated = join(scratch(), "saved");
  mkdirSync(truncated);
  cpSync(honest, truncated, { recursive: true });
  writeFileSync(join(truncated, "intervention.safetensors"), "short");
  test.each([
    ["nothing there", "/no/such/path", "file-missing"],
    ["an empty folder", scratch(), "artefact-missing"],
    ["a folder of other things", other, "artefact-missing"],
    ["a model of no known family", unknown, "architecture-unknown"],
    ["a damaged artefact", truncated, "artefact-tensor"],
    ["a text file", join(other, "notes.txt"), "zip-invalid"],
    ["a device", "/dev/null", "file-unreadable"],
    ["a pickle that would run code", fixture("torch", "refused", "os_system.pt"), "pickle-refused"],
  ])("%s", async (_, path, code) => {
    const outcome = await vene(["inspect", path]);
    expect([outcome.code, outcome.out]).toEqual([1, ""]);
    expect(outcome.err).toMatch(new RegExp(`^error\\[${code}\\]: .+\n`));
  });
});
