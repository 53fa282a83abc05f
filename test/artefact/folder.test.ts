/** Writing over folders: an artefact is replaced, anything else is never touched. */
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { writeArtefactFolder } from "../../src/artefact/folder.ts";
import { readFormat1, writeFormat1 } from "../../src/artefact/format1.ts";
import { temporaryFolder } from "./places.ts";
import { sample } from "./samples.ts";

describe("an existing folder", () => {
  test("that is empty is filled", async () => {
    const folder = await temporaryFolder();
    await writeFormat1(folder, sample());
    expect((await readdir(folder)).sort()).toEqual(["README.md", "intervention.json", "intervention.safetensors"]);
  });

  test("that holds an artefact is replaced, stale files and all", async () => {
    const folder = await temporaryFolder();
    await writeFormat1(folder, sample());
    await writeFile(join(folder, "intkey_old#0.bin"), "x");
    await writeFormat1(folder, sample({ summary: "Another." }));
    expect((await readFormat1(folder)).manifest.summary).toBe("Another.");
    expect((await readdir(folder)).sort()).toEqual(["README.md", "intervention.json", "intervention.safetensors"]);
  });

  test("is replaced behind a link, and the link stays", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "real"));
    await symlink("real", join(folder, "link"));
    await writeFormat1(join(folder, "link"), sample());
    expect(await readlink(join(folder, "link"))).toBe("real");
    expect((await readFormat1(join(folder, "real"))).manifest.name).toBe("sample");
    expect((await readdir(folder)).sort()).toEqual(["link", "real"]);
  });

  test.each([
    ["a file of the user's beside an artefact", ["intervention.json", "notes.txt"], "notes.txt"],
    ["a model", ["config.json", "model.safetensors"], "model.safetensors"],
    ["a model's weights that pyvene saved", ["config.json", "pytorch_model.bin"], "pytorch_model.bin"],
    ["a repository", [".git"], ".git"],
    ["a config that is not pyvene's", ["README.md", "config.json"], "no artefact"],
    ["a readme alone", ["README.md"], "no artefact"],
  ])("with %s is left alone", async (_, fileNames, message) => {
    const folder = await temporaryFolder();
    for (const fileName of fileNames) await writeFile(join(folder, fileName), "{}");
    await expect(writeFormat1(folder, sample())).rejects.toMatchObject({
      code: "write-failed",
      message: expect.stringContaining(message),
    });
    expect((await readdir(folder)).sort()).toEqual([...fileNames].sort());
    for (const fileName of fileNames) expect(await readFile(join(folder, fileName), "utf8")).toBe("{}");
  });

  test("that is a file, or the current folder, is left alone", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "mine");
    await expect(writeFormat1(join(folder, "file"), sample())).rejects.toMatchObject({ code: "write-failed" });
    expect(await readFile(join(folder, "file"), "utf8")).toBe("mine");
    await expect(writeFormat1(".", sample())).rejects.toMatchObject({ code: "write-failed" });
    await expect(writeFormat1("/", sample())).rejects.toMatchObject({ code: "write-failed" });
  });
});

test("a file name cannot leave the folder, and nothing is left behind", async () => {
  const folder = await temporaryFolder();
  for (const fileName of ["../intkey_x.bin", "intkey_/../../x.bin", "other.txt"]) {
    await expect(writeArtefactFolder(join(folder, "a"), new Map([[fileName, "x"]]))).rejects.toMatchObject({
      code: "write-failed",
    });
  }
  expect(await readdir(folder)).toEqual([]);
});
