/** pyvene's folders to format 1 and back to pyvene: nothing is lost on the way. */
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { makeArtefact } from "../../src/artefact/artefact.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { writePyvene } from "../../src/artefact/pyvene-write.ts";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { withFile } from "../../src/base/bytes.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import { fixtures, savedByPyvene, temporaryFolder } from "./places.ts";

const vectorFiles = async (folder: string) => (await readdir(folder)).filter((name) => name.endsWith(".bin"));

/** pyvene cannot load a noise again, so there is nothing to write for it. */
const loadable = savedByPyvene.filter(([name]) => !name.endsWith("/noise"));

describe("pyvene -> format 1 -> pyvene", () => {
  test.each(loadable)("%s", async (_, saved) => {
    const original = await readArtefact(saved);
    expect(original.source).toBe("pyvene");
    const stored = join(await temporaryFolder(), "stored");
    const { files, notices } = await writeArtefact(stored, original.artefact);
    expect(notices).toEqual([]);
    expect((await readdir(stored)).sort()).toEqual([...files].sort());
    const reread = await readArtefact(stored);
    const rotations = original.notices.filter((notice) => notice.includes("orthonormal"));
    expect(reread).toEqual({ artefact: original.artefact, source: "format1", notices: rotations });

    expect(await readFile(join(stored, "config.json"), "utf8")).toBe(
      await readFile(join(saved, "config.json"), "utf8"),
    );
    for (const name of await vectorFiles(saved)) {
      const [ours, theirs] = (await Promise.all(
        [stored, saved].map((folder) => withFile(join(folder, name), readTorchFile)),
      )) as [Map<string, Tensor>, Map<string, Tensor>];
      expect([...ours.keys()]).toEqual([...theirs.keys()]);
      for (const [key, tensor] of theirs) {
        // A trained rotation goes back as the weight it amounts to: X = -I, and a base that begins with W.
        if (key.startsWith("rotate_layer.parametrizations")) expect(ours.get(key)!.shape).toEqual(tensor.shape);
        else expect([key, ours.get(key)]).toEqual([key, tensor]);
      }
    }

    const back = join(await temporaryFolder(), "back");
    await writePyvene(back, reread.artefact);
    const again = await readPyvene(back);
    expect(again.artefact.tensors).toEqual(original.artefact.tensors);
    expect(again.artefact.manifest).toEqual({ ...original.artefact.manifest, name: "back" });
  });

  test("a noise is kept, and said to be nothing for pyvene", async () => {
    for (const family of ["gpt2", "llama"]) {
      const { artefact } = await readArtefact(join(fixtures, "cases", family, "noise", "saved"));
      expect(artefact.manifest.interventions[0]).toMatchObject({
        kind: "noise",
        parameters: { level: 0.13462981581687927 },
        tensors: {},
      });
      const folder = join(await temporaryFolder(), "noise");
      const { files, notices } = await writeArtefact(folder, artefact);
      expect(files).not.toContain("config.json");
      expect(notices).toEqual([
        expect.stringMatching(/a noise is a NoiseIntervention, and pyvene's load opens a file/),
      ]);
      expect((await readArtefact(folder)).artefact).toEqual(artefact);
      await expect(writePyvene(join(folder, "x"), artefact)).rejects.toMatchObject({ code: "pyvene-unwritable" });
    }
  });
});

describe("a config made anew", () => {
  test.each(loadable)("%s says what pyvene's says", async (_, saved) => {
    const { artefact } = await readPyvene(saved);
    const { format: _format, files: _files, pyvene, ...draft } = artefact.manifest;
    const folder = join(await temporaryFolder(), "anew");
    await writePyvene(folder, makeArtefact(draft, artefact.tensors));
    const ours = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    const { transformers_version, ...theirs } = pyvene!.config as { [key: string]: unknown };
    // 14 fields only where latent_dim says something: 13 are read by every release from 0.0.7 on
    const fields = artefact.manifest.interventions.some(({ kind }) => kind === "autoencoder") ? 14 : 13;
    const written = (theirs["representations"] as unknown[][]).map((values) => values.slice(0, fields));
    expect(ours).toEqual({ ...theirs, representations: written });
    expect(typeof transformers_version).toBe("string");
    const again = await readPyvene(folder);
    expect(again.artefact.manifest.interventions).toEqual(artefact.manifest.interventions);
    expect(again.artefact.tensors).toEqual(artefact.tensors);
  });
});

test("a folder that pyvene saved can be upgraded in place", async () => {
  const folder = join(await temporaryFolder(), "mine");
  await cp(savedByPyvene[0]![1], folder, { recursive: true });
  const { artefact } = await readArtefact(folder);
  await writeArtefact(folder, artefact);
  expect((await readArtefact(folder)).source).toBe("format1");
  expect((await readPyvene(folder)).artefact).toEqual(artefact);
});
