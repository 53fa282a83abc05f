/** Damaged files decode or are refused with a VeneError: never another error, never a hang. */
import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource } from "../../src/base/bytes.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { readTorchFile } from "../../src/formats/torch-file.ts";
import { readZipDirectory, readZipEntry } from "../../src/formats/zip.ts";
import { encodeZip } from "../../src/formats/zip-encode.ts";
import { fixture } from "../support/fixtures.ts";
import { survivesDamage } from "./bytes.ts";

async function fixtureBytes(...parts: string[]): Promise<Uint8Array> {
  return new Uint8Array(await readFile(fixture(...parts)));
}

test.each(["dtypes", "state_dict"])("safetensors: %s", async (name) => {
  const bytes = await fixtureBytes("torch", `${name}.safetensors`);
  expect(await survivesDamage(bytes, readSafetensors, 2000)).toBeGreaterThan(1000);
});

test.each(["views", "nested", "parameters", "big_endian"])("torch: %s", async (name) => {
  const bytes = await fixtureBytes("torch", `${name}.pt`);
  expect(await survivesDamage(bytes, readTorchFile, 1500)).toBeGreaterThan(500);
});

/** The CRC guards the pickle of a whole archive, so damage it before it is packed. */
test.each(["views", "nested", "parameters"])("torch: the pickle of %s inside a sound archive", async (name) => {
  const source = memorySource(await fixtureBytes("torch", `${name}.pt`));
  const contents = new Map<string, Uint8Array>();
  for (const [entry, place] of await readZipDirectory(source)) contents.set(entry, await readZipEntry(source, place));
  const pickle = contents.get(`${name}/data.pkl`)!;
  const repacked = (bytes: Uint8Array): Uint8Array =>
    encodeZip(
      [...new Map([...contents, [`${name}/data.pkl`, bytes]])].map(([entry, body]) => ({ name: entry, bytes: body })),
    );
  await expect(readTorchFile(memorySource(repacked(pickle)))).resolves.toBeInstanceOf(Map);
  const read = async (damaged: { read(start: number, end: number): Promise<Uint8Array>; size: number }) =>
    readTorchFile(memorySource(repacked(await damaged.read(0, damaged.size))));
  expect(await survivesDamage(pickle, read, 1500)).toBeGreaterThan(500);
});

test("GGUF: a control vector", async () => {
  const bytes = await fixtureBytes("wild", "easysteer", "diffmean-1.gguf");
  expect(await survivesDamage(bytes, readGguf, 400)).toBeGreaterThan(100);
});

test("random bytes behind each magic", async () => {
  const heads = ["", "GGUF\x03\0\0\0", "PK\x03\x04", "{", "\x80\x02"].map((text) => Buffer.from(text, "latin1"));
  const bytes = fc
    .tuple(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300 }))
    .map(([head, body]) => Buffer.concat([head, body]));
  const property = fc.asyncProperty(bytes, async (junk) => {
    for (const read of [readSafetensors, readTorchFile, readGguf]) {
      await expect(read(memorySource(junk))).rejects.toMatchObject({ name: "VeneError" });
    }
  });
  await fc.assert(property, { numRuns: 1000 });
});
