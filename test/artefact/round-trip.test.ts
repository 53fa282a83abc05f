/** pyvene's folders to format 1 and back to pyvene: nothing is lost on the way. */
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { makeArtefact } from "../../src/artefact/artefact.ts";
import { readPyvene } from "../../src/artefact/pyvene-read.ts";
import { writePyvene } from "../../src/artefact/pyvene-write.ts";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { withFile } from "../../src/base/bytes.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import { savedByPyvene, temporaryFolder } from "./places.ts";

const vectorFiles = async (folder: string) => (await readdir(folder)).filter((name) => name.endsWith(".bin"));

describe("pyvene -> format 1 -> pyvene", () => {
  test.each(savedByPyvene)("%s", async (_, saved) => {
    const original = await readArtefact(saved);
    expect(original.source).toBe("pyvene");
    const stored = join(await temporaryFolder(), "stored");
    const { files, notices } = await writeArtefact(stored, original.artefact);
    expect(notices).toEqual([]);
    expect((await readdir(stored)).sort()).toEqual([...files].sort());
    const reread = await readArtefact(stored);
    expect(reread).toEqual({ artefact: original.artefact, source: "format1", notices: [] });

    expect(await readFile(join(stored, "config.json"), "utf8")).toBe(
      await readFile(join(saved, "config.json"), "utf8"),
    );
    for (const name of await vectorFiles(saved)) {
      const [ours, theirs] = [
        await withFile(join(stored, name), readTorchFile),
        await withFile(join(saved, name), readTorchFile),
      ];
      expect(ours).toEqual(theirs);
      expect([...(ours as Map<string, unknown>).keys()]).toEqual([...(theirs as Map<string, unknown>).keys()]);
    }

    const back = join(await temporaryFolder(), "back");
    await writePyvene(back, reread.artefact);
    const again = await readPyvene(back);
    expect(again.artefact.tensors).toEqual(original.artefact.tensors);
    expect(again.artefact.manifest).toEqual({ ...original.artefact.manifest, name: "back" });
  });
});

describe("a config made anew", () => {
  test.each(savedByPyvene)("%s says what pyvene's says", async (_, saved) => {
    const { artefact } = await readPyvene(saved);
    const { format: _format, files: _files, pyvene, ...draft } = artefact.manifest;
    const folder = join(await temporaryFolder(), "anew");
    await writePyvene(folder, makeArtefact(draft, artefact.tensors));
    const ours = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    const { transformers_version, ...theirs } = pyvene!.config as { [key: string]: unknown };
    // 14 fields only where latent_dim says something: 13 are read by every release from 0.0.7 on
    const thirteen = (theirs["representations"] as unknown[][]).map((fields) => fields.slice(0, 13));
    expect(ours).toEqual({ ...theirs, representations: thirteen });
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
