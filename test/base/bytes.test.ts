/** Byte sources: exact reads, coded errors, and files that are not what they seem. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { memorySource, readSmallFile, withFile } from "../../src/base/bytes.ts";
import { sha256Of, sha256OfFile } from "../../src/base/digest.ts";

let folder: string;
let path: string;
const content = Uint8Array.from({ length: 3000 }, (_, i) => i % 251);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vene-bytes-"));
  path = join(folder, "file");
  await writeFile(path, content);
});
afterAll(() => rm(folder, { recursive: true }));

describe("withFile", () => {
  test("reads exactly what is asked", async () => {
    const [size, middle, nothing, all] = await withFile(path, async (source) => [
      source.size,
      await source.read(10, 13),
      await source.read(3000, 3000),
      await source.read(0, 3000),
    ]);
    expect([size, [...(middle as Uint8Array)], (nothing as Uint8Array).length]).toEqual([3000, [10, 11, 12], 0]);
    expect(Buffer.compare(all as Uint8Array, content)).toBe(0);
  });

  test.each([
    [-1, 3],
    [5, 4],
    [2999, 3001],
    [3001, 3001],
  ])("refuses bytes %i to %i of 3000", async (start, end) => {
    await expect(withFile(path, (source) => source.read(start, end))).rejects.toMatchObject({
      code: "file-unreadable",
      details: { size: 3000, start, end },
    });
    await expect(memorySource(content).read(start, end)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test("names a file that is not there, and a folder in a file's place", async () => {
    const missing = join(folder, "missing");
    await expect(withFile(missing, async () => 1)).rejects.toMatchObject({
      code: "file-missing",
      details: { path: missing },
    });
    await expect(withFile(folder, async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(withFile(join(path, "below"), async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(withFile("with\0zero", async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test("links that go in circles or nowhere are coded, too", async () => {
    await symlink("loop", join(folder, "loop"));
    await symlink("nowhere", join(folder, "dangling"));
    await expect(withFile(join(folder, "loop"), async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
    await expect(withFile(join(folder, "dangling"), async () => 1)).rejects.toMatchObject({ code: "file-missing" });
  });

  test("a device is not a regular file", async () => {
    await expect(withFile("/dev/zero", async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test("a named pipe without a writer does not hang it", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await expect(withFile(join(folder, "pipe"), async () => 1)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test("notices that a file shrank while it was read", async () => {
    const shrinking = join(folder, "shrinking");
    await writeFile(shrinking, content);
    const reading = withFile(shrinking, async (source) => {
      await truncate(shrinking, 100);
      return source.read(50, 200);
    });
    await expect(reading).rejects.toMatchObject({
      code: "file-unreadable",
      message: expect.stringContaining("byte 100"),
    });
  });

  test("hands on what the work throws, and closes the file", async () => {
    const error = new Error("mine");
    let keep: { read(start: number, end: number): Promise<Uint8Array> } | undefined;
    const work = withFile(path, async (source) => {
      keep = source;
      throw error;
    });
    await expect(work).rejects.toBe(error);
    await expect(keep!.read(0, 1)).rejects.toThrow();
  });
});

describe("small files and digests", () => {
  test("more than the limit is refused before it is read", async () => {
    expect((await readSmallFile(path, 3000)).length).toBe(3000);
    await expect(readSmallFile(path, 2999)).rejects.toMatchObject({
      code: "file-unreadable",
      details: { size: 3000, limit: 2999 },
    });
  });

  test("the digest of a file is that of its bytes, beyond one chunk too", async () => {
    expect(await sha256OfFile(path)).toBe(sha256Of(content));
    expect(sha256Of("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const large = join(folder, "large");
    const bytes = new Uint8Array((1 << 20) * 2 + 7).fill(65);
    await writeFile(large, bytes);
    expect(await sha256OfFile(large)).toBe(sha256Of(bytes));
  });

  test("a source in memory gives views", async () => {
    const source = memorySource(content, "buffer");
    expect((await source.read(5, 9)).buffer).toBe(content.buffer);
    expect([source.name, source.size]).toEqual(["buffer", 3000]);
  });
});
