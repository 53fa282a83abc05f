import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readArtefact } from "../../src/index.ts";
import { fixture } from "../support/fixtures.ts";
import { honest, scratch, vene, veneJson } from "./terminal.ts";

const cheerful = fixture("smollm2", "cheerful", "saved");
const vectors = fixture("wild", "pyvene", "honest_llama2_chat_7B_o_proj_add_activations.bin");
const key = "layer_20_comp_block_output_unit_pos_nunit_1#0";
const vectorOptions = [
  ...["--name", "honest-llama2-chat-7b", "--base-model", "meta-llama/Llama-2-7b-chat-hf", "--architecture", "llama"],
  ...["--layers", "32", "--hidden-size", "4096", "--module", "model.layers[{layer}].self_attn.o_proj.output"],
];

const target = () => join(scratch(), "out");
const filesIn = (folder: string) => readdirSync(folder).sort();

describe("what pyvene saved", () => {
  test("becomes format 1 with pyvene's files beside it, and the options say the rest", async () => {
    const to = target();
    const { code, out, err } = await vene([
      ...["convert", cheerful, to, "--name", "cheerful", "--license", "mit", "--summary", "Answers cheerfully."],
      ...[
        "--base-model",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "--architecture",
        "llama",
        "--layers",
        "30",
        "--hidden-size",
        "576",
      ],
    ]);
    expect(code).toBe(0);
    expect(err).toContain("notice: pyvene records no base model");
    expect(out).toMatch(new RegExp(`^wrote ${to} \\(vene, format 1\\)\n  intervention.json\n`));
    expect(filesIn(to)).toEqual([
      "README.md",
      "config.json",
      "intervention.json",
      "intervention.safetensors",
      `intkey_${key}.bin`,
    ]);
    const { artefact, source } = await readArtefact(to);
    expect(source).toBe("format1");
    expect(artefact.manifest).toMatchObject({
      ...{ name: "cheerful", license: "mit", summary: "Answers cheerfully." },
      base: { model: "HuggingFaceTB/SmolLM2-135M-Instruct", architecture: "llama", layers: 30, hiddenSize: 576 },
    });
    const before = (await readArtefact(cheerful)).artefact.tensors.get(`${key}.source`)!;
    expect(artefact.tensors.get(`${key}.source`)!.bytes).toEqual(before.bytes);
  });

  test("and back gives pyvene its own config.json", async () => {
    const [there, back] = [target(), target()];
    expect((await vene(["convert", cheerful, there, "--no-pyvene"])).code).toBe(0);
    expect(filesIn(there)).toEqual(["README.md", "intervention.json", "intervention.safetensors"]);
    const { json } = await veneJson(["convert", there, back]);
    expect(json).toEqual({
      ...{ from: there, to: back, source: "format1", format: "pyvene", name: "saved" },
      ...{ files: ["config.json", `intkey_${key}.bin`], notices: [] },
    });
    expect(filesIn(back)).toEqual(["config.json", `intkey_${key}.bin`]);
    expect(readFileSync(join(back, "config.json"), "utf8")).toBe(readFileSync(join(cheerful, "config.json"), "utf8"));
  });

  test("what pyvene cannot say is a notice", async () => {
    const { code, err } = await vene(["convert", honest, target()]);
    expect(code).toBe(0);
    expect(err).toContain("notice: pyvene stores no tokens policy (here prompt=last;generated=none)");
    expect((await vene(["convert", honest, target(), "--quiet"])).err).toBe("");
  });
});

describe("a file of vectors", () => {
  test("the honest vectors become fourteen sites of LLaMA 2", async () => {
    const to = target();
    const { code, json } = await veneJson(["convert", vectors, to, ...vectorOptions, "--license", "apache-2.0"]);
    expect([code, json.source, json.format]).toEqual([0, "vectors", "vene"]);
    const { artefact } = await readArtefact(to);
    const { base, interventions, license } = artefact.manifest;
    expect(base).toMatchObject({
      model: "meta-llama/Llama-2-7b-chat-hf",
      architecture: "llama",
      layers: 32,
      hiddenSize: 4096,
    });
    expect(license).toBe("apache-2.0");
    expect(interventions.map(({ site }) => ("module" in site ? `${site.module}.${site.side}` : ""))).toEqual(
      [6, 9, 10, 11, 12, 13, 14, 15, 16, 21, 26, 27, 30, 31].map(
        (layer) => `model.layers[${layer}].self_attn.o_proj.output`,
      ),
    );
  });

  test("can go straight to pyvene", async () => {
    const to = target();
    const { json } = await veneJson(["convert", vectors, to, ...vectorOptions, "--to", "pyvene"]);
    expect(json.files).toHaveLength(15);
    expect((await readArtefact(to)).source).toBe("pyvene");
  });

  test("nothing about it is guessed", async () => {
    const to = target();
    const { code, err } = await vene(["convert", vectors, to, "--name", "x", "--layers", "32"]);
    expect(code).toBe(2);
    expect(err).toContain("--base-model, --architecture, --hidden-size, --module missing\n");
    expect(() => readdirSync(to)).toThrow("ENOENT");
  });

  test("options that do not fit it are refused", async () => {
    for (const [option, value, code] of [
      ["--hidden-size", "4095", "artefact-tensor"],
      ["--module", "model.layers[3].self_attn.o_proj.output", "site-unknown"],
      ["--name", "Not A Name", "manifest-invalid"],
    ] as const) {
      const { code: exit, err } = await vene(["convert", vectors, target(), ...vectorOptions, option, value]);
      expect([exit, err]).toEqual([1, expect.stringContaining(`error[${code}]`)]);
    }
  });
});

describe("what others share", () => {
  const adapter = fixture("peft", "llama-all");
  const scope = fixture("sae", "gemma-scope", "params.npz");

  test("a LoRA of PEFT's becomes format 1, and says what it is for", async () => {
    const to = target();
    const { code, json } = await veneJson(["convert", adapter, to, "--name", "concise", "--license", "mit"]);
    expect([code, json.source, json.format, json.files]).toEqual([
      ...[0, "peft", "vene"],
      ["intervention.json", "intervention.safetensors", "README.md"],
    ]);
    const { manifest } = (await readArtefact(to)).artefact;
    expect([manifest.name, manifest.license, manifest.base.model]).toEqual(["concise", "mit", "vene-test/llama"]);
    expect(manifest.interventions.map(({ kind }) => kind)).toEqual(new Array(28).fill("lora"));
    const back = await vene(["convert", to, target()]);
    expect([back.code, back.err]).toEqual([1, expect.stringContaining("error[pyvene-unwritable]")]);
  });

  test("an SAE goes where its config or the options say", async () => {
    const [one, two] = [target(), target()];
    const saved = await veneJson(["convert", fixture("sae", "flat-jumprelu"), one]);
    expect([saved.code, saved.json.source, saved.json.name]).toEqual([0, "sae", "flat-jumprelu"]);
    const where = [
      "--layer",
      "0",
      "--component",
      "block_output",
      "--base-model",
      "google/gemma-2-2b",
      "--layers",
      "26",
    ];
    expect((await vene(["convert", scope, two, ...where])).code).toBe(0);
    const { interventions, base } = (await readArtefact(two)).artefact.manifest;
    expect(interventions[0]).toMatchObject({
      kind: "jumprelu-autoencoder",
      site: { layer: 0, component: "block_output" },
    });
    expect(base).toMatchObject({ model: "google/gemma-2-2b", layers: 26, hiddenSize: 32 });
  });

  test("nothing about a params.npz is guessed", async () => {
    const { code, err } = await vene(["convert", scope, target()]);
    expect([code, err]).toEqual([expect.any(Number), expect.stringContaining("does not say where it belongs")]);
    expect(code).not.toBe(0);
  });
});

describe("the target", () => {
  test("that holds an intervention is replaced with --force only", async () => {
    const to = target();
    expect((await vene(["convert", cheerful, to])).code).toBe(0);
    const before = filesIn(to);
    const again = await vene(["convert", honest, to]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("error[write-failed]")]);
    expect(again.err).toContain("hint: --force");
    expect(filesIn(to)).toEqual(before);
    expect((await vene(["convert", honest, to, "--force", "--to", "vene"])).code).toBe(0);
    expect((await readArtefact(to)).artefact.manifest.name).toBe("honest");
  });

  test("that holds anything else never is", async () => {
    const to = target();
    mkdirSync(to);
    writeFileSync(join(to, "thesis.tex"), "three years");
    for (const force of [[], ["--force"]]) {
      const { code, err } = await vene(["convert", cheerful, to, ...force]);
      expect([code, err]).toEqual([1, expect.stringContaining("error[write-failed]")]);
    }
    expect(filesIn(to)).toEqual(["thesis.tex"]);
  });

  test("may be the source, and may be an empty folder", async () => {
    const to = target();
    mkdirSync(to);
    expect((await vene(["convert", cheerful, to])).code).toBe(0);
    expect((await vene(["convert", to, to, "--force", "--to", "vene", "--name", "renamed"])).code).toBe(0);
    expect((await readArtefact(to)).artefact.manifest.name).toBe("renamed");
    const lossy = await vene(["convert", to, `${to}/`, "--force", "--to", "pyvene"]);
    expect([lossy.code, lossy.err]).toEqual([2, expect.stringContaining("are the same place")]);
    expect((await readArtefact(to)).source).toBe("format1");
  });

  test("is written with Ctrl-C held", async () => {
    expect((await vene(["convert", cheerful, target()])).interrupts.slice(0, 2)).toEqual(["hold", "letGo"]);
  });
});

describe("usage", () => {
  test.each([
    [[cheerful, "--to", "gguf"], '--to is "gguf"'],
    [[cheerful, "--to", "pyvene", "--name", "x"], "pyvene's files have no place for --name"],
    [[cheerful, "--to", "pyvene", "--no-pyvene"], "--no-pyvene leaves nothing to write with --to pyvene"],
    [[cheerful, "--module", "block_output"], "--module is for files of vectors"],
    [[cheerful, "--layers", "many"], "It must be a whole number"],
    [[cheerful, "--layer", "-1"], "It must be a whole number, 0 or more"],
    [[cheerful, "--component", "block_output"], "--component is for SAEs"],
    [[fixture("sae", "gemma-scope"), "--module", "block_output"], "--module is for files of vectors"],
  ])("%j is refused", async ([from, ...options], message) => {
    const to = target();
    const { code, err } = await vene(["convert", from!, to, ...options]);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
    expect(() => readdirSync(to)).toThrow("ENOENT");
  });

  test("a source that is not there, or is no intervention", async () => {
    expect((await vene(["convert", "/no/such", target()])).err).toContain("error[file-missing]");
    expect((await vene(["convert", scratch(), target()])).err).toContain("error[artefact-missing]");
  });
});
