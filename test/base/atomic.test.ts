/** Nothing half-written is ever visible: files and folders appear whole, or the old ones stay. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { writeFileAtomic, writeFileWith, writeFolderAtomic } from "../../src/base/atomic.ts";
import { VeneError } from "../../src/base/errors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-atomic-"));
});
afterEach(() => rm(folder, { recursive: true }));

const boom = () => Promise.reject(new Error("boom"));

describe("a file", () => {
  test("appears with its content, folders made on the way, and nothing beside it", async () => {
    await writeFileAtomic(join(folder, "a", "b", "file.txt"), "text");
    expect(await readFile(join(folder, "a", "b", "file.txt"), "utf8")).toBe("text");
    expect(await readdir(join(folder, "a", "b"))).toEqual(["file.txt"]);
  });

  test("is not there before it is whole", async () => {
    const path = join(folder, "file");
    await writeFileWith(path, async (handle) => {
      await handle.writeFile("first half,");
      expect((await readdir(folder)).includes("file")).toBe(false);
      await handle.writeFile(" second half");
    });
    expect(await readFile(path, "utf8")).toBe("first half, second half");
  });

  test("a fill that fails leaves nothing, and an existing file as it was", async () => {
    const path = join(folder, "file");
    const fill = async (handle: { writeFile(text: string): Promise<void> }) => {
      await handle.writeFile("half");
      await boom();
    };
    await expect(writeFileWith(path, fill)).rejects.toMatchObject({ code: "write-failed", details: { path } });
    expect(await readdir(folder)).toEqual([]);
    await writeFileAtomic(path, "old");
    await expect(writeFileWith(path, fill)).rejects.toMatchObject({ code: "write-failed" });
    expect(await readdir(folder)).toEqual(["file"]);
    expect(await readFile(path, "utf8")).toBe("old");
  });

  test("a coded error of the content passes through unchanged", async () => {
    const error = new VeneError("tensor-invalid", "NaN");
    await expect(writeFileWith(join(folder, "file"), () => Promise.reject(error))).rejects.toBe(error);
    expect(await readdir(folder)).toEqual([]);
  });

  test("where no file can be, the system's code is named", async () => {
    await writeFile(join(folder, "plain"), "");
    await expect(writeFileAtomic(join(folder, "plain", "file"), "x")).rejects.toMatchObject({
      code: "write-failed",
      details: { system: expect.stringMatching(/ENOTDIR|EEXIST/) },
    });
    await mkdir(join(folder, "taken"));
    await expect(writeFileAtomic(join(folder, "taken"), "x")).rejects.toMatchObject({ code: "write-failed" });
    expect((await readdir(folder)).sort()).toEqual(["plain", "taken"]);
  });

  test("writers at once: one of them wins whole", async () => {
    const path = join(folder, "file");
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(50_000));
    await Promise.all(texts.map((text) => writeFileAtomic(path, text)));
    expect(texts).toContain(await readFile(path, "utf8"));
    expect(await readdir(folder)).toEqual(["file"]);
  });
});

describe("a folder", () => {
  const put = (name: string, text: string) => (staging: string) => writeFile(join(staging, name), text);

  test("appears whole and replaces the old one", async () => {
    const path = join(folder, "out");
    await writeFolderAtomic(path, async (staging) => {
      await put("a", "1")(staging);
      await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    });
    await writeFolderAtomic(path, put("b", "2"));
    expect(await readdir(path)).toEqual(["b"]);
    expect(await readdir(folder)).toEqual(["out"]);
  });

  test("a fill that fails leaves the old one and no traces", async () => {
    const path = join(folder, "out");
    await writeFolderAtomic(path, put("a", "1"));
    const failing = async (staging: string) => {
      await put("b", "2")(staging);
      await boom();
    };
    await expect(writeFolderAtomic(path, failing)).rejects.toMatchObject({ code: "write-failed" });
    expect(await readFile(join(path, "a"), "utf8")).toBe("1");
    expect(await readdir(folder)).toEqual(["out"]);
  });

  test("when the new one cannot be moved into place the old one is put back", async () => {
    const path = join(folder, "out");
    await writeFolderAtomic(path, put("a", "1"));
    const vanishing = (staging: string) => rm(staging, { recursive: true });
    await expect(writeFolderAtomic(path, vanishing)).rejects.toMatchObject({ code: "write-failed" });
    expect(await readdir(path)).toEqual(["a"]);
    expect(await readdir(folder)).toEqual(["out"]);
  });

  test("a dangling link in the way does not stop it", async () => {
    await symlink(join(folder, "nowhere"), join(folder, "out"));
    await writeFolderAtomic(join(folder, "out"), put("a", "1"));
    expect(await readdir(join(folder, "out"))).toEqual(["a"]);
  });
});
