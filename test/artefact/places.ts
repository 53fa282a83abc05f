/** Where the fixtures are, and temporary folders that go away with the test file. */
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";

export const fixtures = join(import.meta.dirname, "../fixtures");

/** Folders that pyvene saved: name to path. */
export const savedByPyvene: readonly (readonly [name: string, path: string])[] = [
  "smollm2",
  "cases/gpt2",
  "cases/llama",
].flatMap((group) =>
  readdirSync(join(fixtures, group)).map((name) => [`${group}/${name}`, join(fixtures, group, name, "saved")] as const),
);

const made: string[] = [];

afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true, force: true });
});

/** A new empty folder. */
export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "vene-artefact-"));
  made.push(path);
  return path;
}
