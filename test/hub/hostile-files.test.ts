/** Files of a hostile publisher: the Hub lists their true digests, so they arrive, and nothing they say is believed. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { memorySource } from "../../src/base/bytes.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-encode.ts";
import { IntervenableModel, loadModel, type Model, pullModel, Tensor } from "../../src/index.ts";
import { concat, u64 } from "../formats/bytes.ts";
import { fixture } from "../support/fixtures.ts";
import { HostileHub, sha256Hex } from "../support/hostile-hub.ts";

const examples = join(import.meta.dirname, "../../examples/truthful-tiny");
const tensorsFile = "intervention.safetensors";
const goodManifest = readFileSync(join(examples, "honest/intervention.json"), "utf8");
const goodTensors = readFileSync(join(examples, "honest", tensorsFile));
const first = "layer_1_comp_attention_value_output_unit_pos_nunit_1#0.source";
const prompt = "Q: Is 8 even or odd? A:";

let model: Model;
beforeAll(async () => {
  model = await loadModel(examples);
});
afterAll(() => model.release());

let hub: HostileHub;
let cacheFolder: string;
beforeEach(async () => {
  hub = new HostileHub();
  cacheFolder = mkdtempSync(join(tmpdir(), "vene-hub-"));
  await hub.start();
});
afterEach(() => {
  hub.stop();
  rmSync(cacheFolder, { recursive: true });
});

const options = () => ({ hub: { endpoint: hub.url, token: null, cacheFolder } });
const load = () => IntervenableModel.load(hub.repo, model, options());

// biome-ignore lint/suspicious/noExplicitAny: tests change whatever they like
type Edit = (manifest: any) => unknown;

/** Publishes the demo's intervention with other tensors, which the manifest describes correctly, and with changes to that. */
function publish(tensors: Uint8Array = goodTensors, edit: Edit = () => undefined): void {
  const manifest = JSON.parse(goodManifest);
  manifest.files[tensorsFile] = { sha256: sha256Hex(Buffer.from(tensors)), size: tensors.length };
  edit(manifest);
  hub.put("intervention.json", JSON.stringify(manifest));
  hub.put(tensorsFile, Buffer.from(tensors), true);
}

async function expectRefused(code: string): Promise<void> {
  await expect(load()).rejects.toMatchObject({ code });
}

/** A file with that header in front of so many bytes of data. */
function file(header: string | object, data = 8, length?: number | bigint): Uint8Array {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  return concat(u64(length ?? Buffer.byteLength(text)), text, new Uint8Array(data));
}

const entry = (start: number, end: number, shape: readonly number[] = [(end - start) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

describe("safetensors", () => {
  test.each<[string, Uint8Array]>([
    ["20: a header of length 0", file("", 8)],
    ["20: a header longer than the file", file("{}", 0, 1000)],
    ["20: a header of 2^63 bytes", file("{}", 0, 2n ** 63n)],
    ["20: a header beyond the cap", file("{}", 0, 100_000_001)],
    ["20: fewer bytes than a length takes", concat([1, 2, 3])],
    ["21: an overlap", file({ a: entry(0, 8), b: entry(4, 8) })],
    ["21: a hole", file({ a: entry(0, 4), b: entry(8, 12) }, 12)],
    ["21: bytes behind the last tensor", file({ a: entry(0, 4) })],
    ["21: reversed offsets", file({ a: { ...entry(0, 8), data_offsets: [8, 0] } })],
    ["21: a shape whose product overflows", file({ a: entry(0, 8, [2 ** 32, 2 ** 32]) })],
    ["21: an unknown dtype", file({ a: entry(0, 8, [2], "F33") })],
    ["21: half a byte", file({ a: entry(0, 8, [17], "F4") })],
    ["22: one name twice", file(`{"a":${JSON.stringify(entry(0, 8))},"a":${JSON.stringify(entry(0, 8))}}`)],
    ["22: metadata that is no text", file({ __metadata__: { a: 1 }, b: entry(0, 8) })],
    ["22: a header that does not begin with {", file(` ${JSON.stringify({ a: entry(0, 8) })}`)],
    ["25: a pickle under the name", readFileSync(join(fixture("torch"), "bare.pt"))],
    ["25: a zip in front", concat("PK\u0003\u0004", goodTensors)],
    ["25: a zip behind", concat(goodTensors, "PK\u0005\u0006", new Uint8Array(18))],
    ["25: GGUF with 2^63 tensors", concat("GGUF", [3, 0, 0, 0], u64(2n ** 63n), u64(2n ** 63n))],
  ])("%s", async (_, tensors) => {
    publish(tensors);
    await expectRefused("safetensors-invalid");
  });

  test.each<[string, readonly number[]]>([
    ["zero-size", [0]],
    ["rank-0", []],
  ])("21: a %s tensor is read, and is no vector for this place", async (_, shape) => {
    const tensors = await readSafetensors(memorySource(goodTensors));
    publish(encodeSafetensors(tensors.set(first, Tensor.float32(shape, new Float32Array(shape.length === 0 ? 1 : 0)))));
    await expectRefused("artefact-tensor");
  });
});

describe("vectors", () => {
  async function publishVector(value: (i: number) => number): Promise<void> {
    const tensors = await readSafetensors(memorySource(goodTensors));
    const { shape, data } = { shape: tensors.get(first)!.shape, data: tensors.get(first)!.toFloat32() };
    publish(
      encodeSafetensors(
        tensors.set(
          first,
          Tensor.float32(
            shape,
            data.map((_, i) => value(i)),
          ),
        ),
      ),
    );
  }

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("23: with %d", async (value) => {
    await publishVector((i) => (i === 5 ? value : 1));
    await expectRefused("tensor-invalid");
  });

  test("23: zeros and denormals steer like nothing, and 1e30 ends in numbers or in an error", async () => {
    const steered = async () => (await (await load()).generate(prompt, { maxNewTokens: 4 })).tokens;
    await publishVector(() => 0);
    const zero = await steered();
    rmSync(cacheFolder, { recursive: true });
    await publishVector(() => 1e-42);
    expect(await steered()).toEqual(zero);
    rmSync(cacheFolder, { recursive: true });
    await publishVector(() => 1e30);
    const huge = await steered().catch((thrown: { code: string }) => thrown.code);
    expect(huge === "runtime-failed" || (Array.isArray(huge) && huge.every(Number.isInteger))).toBe(true);
  });
});

describe("manifests", () => {
  const digestOf = (files: Record<string, object>, sha256: string) => Object.assign(files[tensorsFile]!, { sha256 });

  test.each<[string, Edit, string]>([
    ["24: of another hidden size", ({ base }) => Object.assign(base, { hiddenSize: 64 }), "base-mismatch"],
    ["24: of more layers", ({ base }) => Object.assign(base, { layers: 12 }), "base-mismatch"],
    ["24: for a layer too high", (m) => Object.assign(m.interventions[0].site, { layer: 99 }), "manifest-invalid"],
    ["27: of another size", ({ files }) => files[tensorsFile].size++, "artefact-tensor"],
    ["27: with another digest", ({ files }) => digestOf(files, "0".repeat(64)), "artefact-tensor"],
    ["27: with another algorithm's digest", ({ files }) => digestOf(files, "0".repeat(40)), "manifest-invalid"],
    [
      "27: naming an extra file",
      ({ files }) => Object.assign(files, { "../x": files[tensorsFile] }),
      "manifest-invalid",
    ],
    ["27: naming no file", ({ files }) => delete files[tensorsFile], "manifest-invalid"],
  ])("%s", async (_, edit, code) => {
    publish(goodTensors, edit);
    await expectRefused(code);
  });

  test("27: that name a file twice", async () => {
    publish();
    const listed = `"${tensorsFile}": {`;
    hub.put(
      "intervention.json",
      goodManifest.replace(listed, `${listed}"sha256":"${"0".repeat(64)}","size":1}, ${listed}`),
    );
    await expectRefused("json-invalid");
  });

  test("27: whose file the repository lacks", async () => {
    publish();
    hub.files.delete(tensorsFile);
    await expectRefused("file-missing");
  });

  test("27: a tensor too many, and one too few", async () => {
    const tensors = await readSafetensors(memorySource(goodTensors));
    const extra = new Map(tensors).set("extra", Tensor.float32([1], [1]));
    publish(encodeSafetensors(extra));
    await expectRefused("artefact-tensor");
    rmSync(cacheFolder, { recursive: true });
    tensors.delete(first);
    publish(encodeSafetensors(tensors));
    await expectRefused("artefact-tensor");
  });
});

describe("what is never executed or read", () => {
  test("25: a pickle that calls a function, as pyvene's save", async () => {
    const key = "layer_1_comp_block_output_unit_pos_nunit_1#0";
    const call = "cos\nsystem\n(S'touch pwned'\ntR.";
    hub.put("config.json", readFileSync(join(examples, "honest/config.json")));
    for (const name of JSON.parse(readFileSync(join(examples, "honest/config.json"), "utf8")).sorted_keys ?? [key]) {
      hub.put(`intkey_${name}.bin`, Buffer.from(call), true);
    }
    await expect(load()).rejects.toMatchObject({ code: expect.stringMatching(/^(pickle-|torch-|zip-)/) });
    expect(existsSync("pwned")).toBe(false);
  });

  test("26: ONNX with external data, code, templates and pickles beside a model are not even fetched", async () => {
    for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
      hub.put(name, readFileSync(join(examples, name)), name.endsWith(".safetensors"));
    }
    const others = ["model.onnx", "model.onnx_data", "modeling_evil.py", "pytorch_model.bin", "training_args.bin"];
    for (const name of others) hub.put(name, "location ../../etc/passwd", true);
    const { files } = await pullModel(hub.repo, options());
    expect(files.map(({ path }) => path).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(hub.fetched.filter((line) => others.some((name) => line.endsWith(`/${name}`)))).toEqual([]);
  });
});
