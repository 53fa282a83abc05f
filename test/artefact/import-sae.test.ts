/** SAEs as they are shared, against the numbers that SAELens computes with the same files, and what is refused. */
import { cp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type Artefact, tensorOf } from "../../src/artefact/artefact.ts";
import { type ImportSaeOptions, importSae, isSae } from "../../src/artefact/import-sae.ts";
import { withFile } from "../../src/base/bytes.ts";
import { Tensor } from "../../src/base/tensor.ts";
import { decodeNpy } from "../../src/formats/npy.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { encodeZip } from "../../src/formats/zip-encode.ts";
import { kindTable } from "../../src/interventions/table.ts";
import { largestDifference } from "../support/fixtures.ts";
import { fixtures, temporaryFolder } from "./places.ts";

const sae = (name: string) => join(fixtures, "sae", name);
const weights = "sae_weights.safetensors";
const atLayer20 = { layer: 20, component: "block_output" };

/** Latents in plain JS, by the kinds' definitions. */
function latentsOf(artefact: Artefact, x: Float32Array): number[] {
  const entry = artefact.manifest.interventions[0]!;
  const [we, be, bd] = ["encoder", "encoderBias", "decoderBias"].map((role) =>
    tensorOf(artefact, entry, role)!.toFloat32(),
  ) as [Float32Array, Float32Array, Float32Array];
  const [d, f] = [bd.length, be.length];
  const threshold = tensorOf(artefact, entry, "threshold")?.toFloat32();
  return Array.from(be, (bias, j) => {
    let p = bias;
    for (let i = 0; i < d; i++)
      p += threshold === undefined ? we[j * d + i]! * (x[i]! - bd[i]!) : we[i * f + j]! * x[i]!;
    return p > (threshold?.[j] ?? 0) ? Math.max(p, 0) : 0;
  });
}

/** What the kind's own reference makes of x with all latents from x itself. */
function decodedOf(artefact: Artefact, x: Float32Array): Float32Array {
  const entry = artefact.manifest.interventions[0]!;
  const tensors = Object.fromEntries(
    Object.keys(entry.tensors).map((role) => {
      const tensor = tensorOf(artefact, entry, role)!;
      const [rows, columns] = tensor.shape.length === 1 ? [1, tensor.size] : (tensor.shape as [number, number]);
      return [role, { rows, columns, values: Float64Array.from(tensor.toFloat32()) }];
    }),
  );
  const base = Float64Array.from(x);
  const select = new Float64Array(48).fill(1);
  const operator = kindTable[entry.kind as "autoencoder" | "jumprelu-autoencoder"];
  return Float32Array.from(
    operator.reference({ base, source: base, select, input: undefined, tensors, parameters: {} }),
  );
}

const named: readonly (readonly [string, ImportSaeOptions, string, object, string | null])[] = [
  ["oldest-centred", {}, "jumprelu-autoencoder", { layer: 2, component: "block_input" }, "gpt2-small"],
  ["flat-jumprelu", {}, "jumprelu-autoencoder", { layer: 1, component: "block_output" }, "google/gemma-2-2b"],
  ["nested-standard", {}, "autoencoder", { layer: 3, component: "mlp_output" }, "meta-llama/tiny"],
  ["nested-no-bias", {}, "jumprelu-autoencoder", { layer: 3, component: "mlp_output" }, "meta-llama/tiny"],
  ["gemma-scope", atLayer20, "jumprelu-autoencoder", { layer: 20, component: "block_output" }, null],
];

describe.each(named)("%s", (name, options, kind, site, model) => {
  test("latents and reconstruction are SAELens's", async () => {
    const { artefact } = await importSae(sae(name), options);
    const expected = await withFile(join(sae(name), "expected.safetensors"), readSafetensors);
    const [x, latents, decoded] = ["x", "latents", "decoded"].map((key) => expected.get(key)!.toFloat32()) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    for (let row = 0; row < 5; row++) {
      const input = x.subarray(row * 32, row * 32 + 32);
      const found = Float32Array.from(latentsOf(artefact, input));
      expect(largestDifference(found, latents.subarray(row * 48, row * 48 + 48))).toBeLessThan(5e-6);
      expect(found.filter((value) => value > 0).length).toBeGreaterThan(5);
      const back = decodedOf(artefact, input);
      expect(largestDifference(back, decoded.subarray(row * 32, row * 32 + 32))).toBeLessThan(1e-5);
    }
  });

  test("kind, site and base are the config's", async () => {
    const { manifest } = (await importSae(sae(name), options)).artefact;
    expect(manifest.interventions).toMatchObject([{ kind, site: { ...site, unit: "pos" }, dimension: null }]);
    expect(manifest.base).toEqual({ model, architecture: null, layers: null, hiddenSize: 32 });
    expect(manifest.name).toBe(name);
    expect(manifest.summary).toContain("sparse autoencoder of 48 latents at layer");
  });
});

test("notices say what TransformerLens did, and whom to ask for the model's id", async () => {
  expect((await importSae(sae("oldest-centred"))).notices).toEqual([
    expect.stringContaining("gpt2-small is what TransformerLens calls the model"),
    expect.stringContaining("centred the residual stream"),
  ]);
  const { artefact, notices } = await importSae(sae("oldest-centred"), {
    baseModel: "openai-community/gpt2",
    name: "res",
  });
  expect([notices.length, artefact.manifest.base.model, artefact.manifest.name]).toEqual([
    1,
    "openai-community/gpt2",
    "res",
  ]);
});

test("layer and component win over the config, a module path needs no layer", async () => {
  const site = async (path: string, options: ImportSaeOptions) =>
    (await importSae(path, options)).artefact.manifest.interventions[0]!.site;
  const { layer, component } = atLayer20;
  expect(await site(sae("flat-jumprelu"), atLayer20)).toEqual({ layer, component, unit: "pos" });
  const path = { component: "model.layers[3].mlp.down_proj.output" };
  expect(await site(join(sae("gemma-scope"), "params.npz"), path)).toEqual({
    ...{ module: "model.layers[3].mlp.down_proj", side: "output", unit: "pos" },
  });
  for (const options of [{}, { layer: 3 }, { component: "block_output" }, { latents: 3 } as ImportSaeOptions]) {
    await expect(importSae(sae("gemma-scope"), options)).rejects.toMatchObject({ code: "usage" });
  }
  const odd = { layer: 3, component: "residual" };
  await expect(importSae(sae("gemma-scope"), odd)).rejects.toMatchObject({ code: "site-unknown" });
});

test("what an SAE looks like", async () => {
  expect(await isSae(sae("flat-jumprelu"))).toBe(true);
  expect(await isSae(sae("gemma-scope"))).toBe(true);
  expect(await isSae(join(sae("gemma-scope"), "params.npz"))).toBe(true);
  expect(await isSae(join(sae("flat-jumprelu"), weights))).toBe(false);
  expect(await isSae(join(fixtures, "peft/gpt2"))).toBe(false);
  expect(await isSae(join(fixtures, "none"))).toBe(false);
});

/** A copy with another config and other weights. */
async function changed(
  name: string,
  config: Record<string, unknown>,
  edit: (tensors: Map<string, Tensor>) => void = () => {},
): Promise<string> {
  const folder = join(await temporaryFolder(), "sae");
  await cp(sae(name), folder, { recursive: true });
  const path = join(folder, "cfg.json");
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...config }));
  const tensors = await withFile(join(folder, weights), readSafetensors);
  edit(tensors);
  await writeFile(join(folder, weights), encodeSafetensors(tensors));
  return folder;
}

describe("what no kind computes is refused by name", () => {
  test.each([
    ["architecture", "gated"],
    ["architecture", "topk"],
    ["architecture", "transcoder"],
    ["normalize_activations", "layer_norm"],
    ["normalize_activations", "expected_average_only_in"],
    ["normalize_activations", true],
    ["activation_fn_str", "topk"],
    ["activation_fn", "tanh-relu"],
    ["finetuning_scaling_factor", true],
    ["hook_head_index", 3],
    ["hook_name", "blocks.1.hook_resid_mid"],
    ["hook_name", "blocks.1.mlp.hook_post"],
    ["hook_name", "blocks.1.hook_mlp_out"],
    ["hook_name", "hook_embed"],
    ["hook_name", "blocks.1.constructor"],
  ])("%s %j", async (key, value) => {
    const folder = await changed("flat-jumprelu", { [key]: value });
    await expect(importSae(folder)).rejects.toMatchObject({
      code: "import-unsupported",
      message: expect.stringContaining(String(key === "hook_name" ? value : key.replace("_str", ""))),
    });
  });

  test.each([
    ["W_dec_out", "flat-jumprelu"],
    ["b_gate", "flat-jumprelu"],
    ["threshold", "nested-standard"],
  ])("a tensor %s in %s", async (tensor, name) => {
    const folder = await changed(name, {}, (tensors) =>
      tensors.set(tensor, Tensor.float32([48], new Float32Array(48))),
    );
    await expect(importSae(folder)).rejects.toMatchObject({ code: "import-unsupported" });
  });

  test("a scaling factor that scales", async () => {
    const two = Tensor.float32([48], new Float32Array(48).fill(2));
    const folder = await changed("flat-jumprelu", {}, (tensors) => tensors.set("scaling_factor", two));
    await expect(importSae(folder)).rejects.toMatchObject({ code: "import-unsupported" });
  });

  test("models of which nobody can say what TransformerLens did, unless the file says", async () => {
    const option = (kwargs: object) => ({ model_name: "my-own", model_from_pretrained_kwargs: kwargs });
    const residual = (kwargs: object) => changed("oldest-centred", option(kwargs));
    await expect(importSae(await residual({}))).rejects.toMatchObject({ code: "import-unsupported" });
    expect((await importSae(await residual({ center_writing_weights: false }))).notices).toHaveLength(1);
    const values = { hook_point: "blocks.2.attn.hook_z" };
    const heads = (kwargs: object) => changed("oldest-centred", { ...option(kwargs), ...values });
    await expect(importSae(await heads({}))).rejects.toMatchObject({ code: "import-unsupported" });
    const { artefact } = await importSae(await heads({ fold_value_biases: false }));
    expect(artefact.manifest.interventions[0]!.site).toMatchObject({ layer: 2, component: "attention_value_output" });
    expect(artefact.manifest.base.hiddenSize).toBeNull();
  });
});

describe("files that do not add up", () => {
  test.each<[string, object, string]>([
    ["no hook", { hook_name: null }, "import-invalid"],
    ["no model", { model_name: null }, "import-invalid"],
    ["a width in words", { d_in: "32" }, "import-invalid"],
    ["another width", { d_in: 64 }, "artefact-tensor"],
    ["a huge width", { d_sae: 2 ** 40 }, "artefact-tensor"],
    ["a layer beyond any", { hook_name: "blocks.99999.hook_resid_post" }, "import-unsupported"],
  ])("%s", async (_, config, code) => {
    await expect(importSae(await changed("flat-jumprelu", { ...config }))).rejects.toMatchObject({ code });
  });

  test.each<[string, (tensors: Map<string, Tensor>) => void, string]>([
    ["no encoder", (tensors) => tensors.delete("W_enc"), "import-invalid"],
    ["no threshold", (tensors) => tensors.delete("threshold"), "import-invalid"],
    ["a decoder the other way round", (tensors) => tensors.set("W_dec", tensors.get("W_enc")!), "artefact-tensor"],
    ["a bias too short", (tensors) => tensors.set("b_enc", tensors.get("b_dec")!), "artefact-tensor"],
    ["a vector", (tensors) => tensors.set("W_enc", tensors.get("b_dec")!), "artefact-tensor"],
    [
      "not a number",
      (tensors) => tensors.set("b_dec", Tensor.float32([32], new Float32Array(32).fill(Number.NaN))),
      "tensor-invalid",
    ],
    [
      "whole numbers",
      (tensors) => tensors.set("threshold", Tensor.int64([48], new BigInt64Array(48))),
      "artefact-tensor",
    ],
  ])("%s", async (_, edit, code) => {
    await expect(importSae(await changed("flat-jumprelu", {}, edit))).rejects.toMatchObject({ code });
  });

  test("cut off or absent", async () => {
    const folder = await changed("flat-jumprelu", {});
    await truncate(join(folder, weights), 1000);
    await expect(importSae(folder)).rejects.toMatchObject({ code: "safetensors-invalid" });
    await rm(join(folder, weights));
    await expect(importSae(folder)).rejects.toMatchObject({ code: "file-missing" });
    const params = join(folder, "params.npz");
    await writeFile(params, (await readFile(join(sae("gemma-scope"), "params.npz"))).subarray(0, -30));
    await expect(importSae(params, atLayer20)).rejects.toMatchObject({ code: "zip-invalid" });
    const array = await readFile(join(fixtures, "npy", "f4.npy"));
    await writeFile(params, encodeZip([{ name: "W_enc.npy", bytes: array }]));
    expect(decodeNpy(array, "f4").size).toBe(6);
    await expect(importSae(params, atLayer20)).rejects.toMatchObject({ code: "import-invalid" });
  });
});
