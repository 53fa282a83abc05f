/** Telling folders apart. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readArtefact, writeArtefact } from "../../src/artefact/read.ts";
import { savedByPyvene, temporaryFolder } from "./places.ts";
import { sample } from "./samples.ts";

describe("readArtefact", () => {
  test("prefers format 1 where both are", async () => {
    const folder = join(await temporaryFolder(), "both");
    const { files } = await writeArtefact(folder, sample());
    expect(files).toEqual([
      "intervention.json",
      "intervention.safetensors",
      "README.md",
      "config.json",
      "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin",
    ]);
    expect(await readArtefact(folder)).toEqual({ artefact: sample(), source: "format1", notices: [] });
  });

  test("reads what pyvene saved, with a notice", async () => {
    const read = await readArtefact(savedByPyvene[0]![1]);
    expect(read.source).toBe("pyvene");
    expect(read.notices).toHaveLength(1);
  });

  test("says what is there instead", async () => {
    const folder = await temporaryFolder();
    await expect(readArtefact(folder)).rejects.toMatchObject({
      code: "artefact-missing",
      message: expect.stringContaining("it is empty"),
    });
    await writeFile(join(folder, "config.json"), '{"model_type": "llama"}');
    await writeFile(join(folder, "model.safetensors"), "");
    await expect(readArtefact(folder)).rejects.toMatchObject({
      code: "artefact-missing",
      message: expect.stringContaining("it holds config.json, model.safetensors"),
      hint: expect.stringContaining("if it is a model"),
    });
    await writeFile(join(folder, "config.json"), "{");
    await expect(readArtefact(folder)).rejects.toMatchObject({ code: "json-invalid" });
    await expect(readArtefact(join(folder, "none"))).rejects.toMatchObject({ code: "file-missing" });
    await expect(readArtefact(join(folder, "config.json"))).rejects.toMatchObject({ code: "file-unreadable" });
  });
});
