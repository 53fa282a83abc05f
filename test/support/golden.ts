/** Compares text with a file of the repository; `UPDATE_GOLDEN=1` writes the file instead. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "@jest/globals";
import { repository } from "./source-files.ts";

export function expectGolden(path: string, text: string): void {
  const target = join(repository, path);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  expect(existsSync(target) ? readFileSync(target, "utf8") : `${path} is missing: UPDATE_GOLDEN=1 writes it`).toBe(
    text,
  );
}
