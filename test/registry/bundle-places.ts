/** Artefacts in temporary folders that go away with the test file. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import { writeArtefact } from "../../src/artefact/read.ts";
import { sample } from "../artefact/samples.ts";

const made: string[] = [];

afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true, force: true });
});

/** A new empty folder. */
export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "vene-bundle-"));
  made.push(path);
  return path;
}

/** A folder with the sample artefact: manifest, tensors, card and what pyvene loads. */
export async function sampleFolder(changes: Parameters<typeof sample>[0] = {}): Promise<string> {
  const folder = join(await temporaryFolder(), "sample");
  await writeArtefact(folder, sample(changes));
  return folder;
}

/** What a folder holds: content by name. */
export async function contentsOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const pairs = names.map(async (name) => [name, (await readFile(join(folder, name))).toString("base64")] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Changes one byte of a file. */
export async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at]! ^= 1;
  await writeFile(path, bytes);
}
