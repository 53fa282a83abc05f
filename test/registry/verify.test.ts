/** An installed artefact is what it was, and does what it did. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readArtefact, readCard, writeArtefact } from "../../src/artefact/read.ts";
import { IntervenableModel, loadModel, type Model } from "../../src/index.ts";
import { artefactFileDigests } from "../../src/registry/artefact-files.ts";
import { packBundle } from "../../src/registry/bundle-pack.ts";
import { unpackBundle } from "../../src/registry/bundle-unpack.ts";
import { signArtefact } from "../../src/registry/signing.ts";
import { newKey } from "../../src/registry/signing-keys.ts";
import { verifyInstalled } from "../../src/registry/verify-installed.ts";
import { verifyRun } from "../../src/registry/verify-run.ts";
import type { Expected } from "../../src/spec/manifest.ts";
import { flipByte, sampleFolder, temporaryFolder } from "./bundle-places.ts";

describe("files", () => {
  const statesOf = async (folder: string, files?: Parameters<typeof verifyInstalled>[1]) => {
    const report = await verifyInstalled(folder, files);
    return { intact: report.intact, states: Object.fromEntries(report.files.map(({ name, state }) => [name, state])) };
  };

  test("the manifest knows the tensors, a signature or a list everything", async () => {
    const folder = await sampleFolder();
    const plain = await statesOf(folder);
    expect(plain).toMatchObject({
      intact: true,
      states: { "intervention.safetensors": "verified", "README.md": "unlisted" },
    });
    const { files } = await artefactFileDigests(folder);
    const listed = await statesOf(folder, { files });
    expect(new Set(Object.values(listed.states))).toEqual(new Set(["verified"]));
    await signArtefact(folder, await newKey(await temporaryFolder(), "alice"));
    const signed = await statesOf(folder);
    expect(signed.states).toEqual({ ...listed.states, "model.sig": "unlisted" });
  });

  test("what was changed or removed is named", async () => {
    const folder = await sampleFolder();
    await writeFile(join(folder, "LICENSE"), "MIT");
    const sha256 = "ab".repeat(32) as never;
    const { files } = await artefactFileDigests(folder);
    await flipByte(join(folder, "intervention.safetensors"), 16);
    await rm(join(folder, "README.md"));
    expect(await statesOf(folder)).toMatchObject({ intact: false, states: { "intervention.safetensors": "changed" } });
    const report = await statesOf(folder, {
      files: [...files, { name: "LICENSE", sha256 }, { name: "absent", sha256 }],
    });
    expect(report).toMatchObject({
      intact: false,
      states: {
        "intervention.safetensors": "changed",
        "intervention.json": "verified",
        "README.md": "missing",
        LICENSE: "changed",
        absent: "missing",
      },
    });
    await rm(join(folder, "intervention.json"));
    await expect(verifyInstalled(folder)).rejects.toMatchObject({ code: "file-missing" });
  });
});

describe("answers", () => {
  const tiny = join(import.meta.dirname, "../../examples/truthful-tiny");
  const question = "Q: Which is larger, 27 or 7? A:";
  let model: Model;
  let folder: string;

  beforeAll(async () => {
    model = await loadModel(tiny, { cacheFolder: await temporaryFolder() });
    const honest = await IntervenableModel.load(join(tiny, "honest"), model);
    folder = join(await temporaryFolder(), "honest");
    await honest.save(folder, { samples: [question, "Q: Which is larger, 3 or 14? A:"], maxNewTokens: 4 });
  });
  afterAll(() => model.release());

  /** The folder saved above with other recorded answers. */
  async function withExpected(change: (expected: Expected[]) => Expected[] | undefined): Promise<string> {
    const { artefact } = await readArtefact(folder);
    const { expected = [], ...manifest } = artefact.manifest;
    const changed = change(structuredClone(expected));
    const copy = join(await temporaryFolder(), "honest");
    await writeArtefact(copy, {
      ...artefact,
      manifest: changed === undefined ? manifest : { ...manifest, expected: changed },
    });
    return copy;
  }

  test("recorded by save are given again after a trip through a bundle, and shown on the card", async () => {
    await packBundle(folder, `${folder}.tgz`);
    await unpackBundle(`${folder}.tgz`, `${folder}-copy`);
    const report = await verifyRun(`${folder}-copy`, model);
    expect(report).toMatchObject({ name: "honest", same: true, sameBase: true, notices: [] });
    expect(report.answers.map(({ side, differsAt }) => [side, differsAt])).toEqual([
      ["plain", undefined],
      ["steered", undefined],
      ["plain", undefined],
      ["steered", undefined],
    ]);
    const [plain, steered] = report.answers;
    expect([plain, steered].map((answer) => model.tokenizer!.decode(answer!.found).trim())).toEqual(["7.", "27."]);
    expect(await readCard(folder)).toContain("| Q: Which is larger, 27 or 7? A: | 7\\. | 27\\. |");
  });

  test("that differ are told, token by token", async () => {
    const copy = await withExpected(([first, second]) => [
      { ...first!, steered: [...first!.steered.slice(0, 1), 0, ...first!.steered.slice(2)] },
      { ...second!, plain: second!.plain!.slice(0, -1) },
    ]);
    const report = await verifyRun(copy, model);
    expect(report.same).toBe(false);
    const last = report.answers[2]!.found.length - 1;
    expect(report.answers.map(({ differsAt }) => differsAt)).toEqual([undefined, 1, last, undefined]);
  });

  test("at a recorded strength are replayed at it", async () => {
    const honest = await IntervenableModel.load(folder, model);
    const { tokens } = await honest.generate(question, { maxNewTokens: 4, strength: 0 });
    const copy = await withExpected(() => [{ prompt: question, maxNewTokens: 4, steered: [...tokens], strength: 0 }]);
    const report = await verifyRun(copy, model);
    expect(report.answers).toMatchObject([{ side: "steered", strength: 0, differsAt: undefined }]);
    expect((await verifyRun(folder, model)).answers[0]!.found).toEqual(report.answers[0]!.found);
  });

  test("that nobody recorded cannot be compared", async () => {
    const copy = await withExpected(() => undefined);
    await expect(verifyRun(copy, model)).rejects.toMatchObject({ code: "registry-integrity" });
  });

  test("and evaluations go into a config, too", async () => {
    const expected = [{ prompt: question, maxNewTokens: 1, steered: [1] }];
    const evaluation = [{ name: "comparisons", metric: "accuracy", value: 0.5, baseline: 0, n: 2 }];
    const source = Float32Array.from({ length: model.shape.hiddenSize }, () => 1);
    const representations = {
      layer: 1,
      component: "block_output",
      interventionType: "addition",
      sourceRepresentation: source,
    };
    const iv = new IntervenableModel({ representations, expected, evaluation }, model);
    expect(iv.artefact.manifest).toMatchObject({ expected, evaluation });
    expect(() => new IntervenableModel({ representations, expected: [{ steered: [] }] as never }, model)).toThrow(
      expect.objectContaining({ code: "manifest-invalid" }),
    );
    await expect(iv.save(join(folder, "x"), { sample: [] } as never)).rejects.toMatchObject({ code: "usage" });
  });
});
