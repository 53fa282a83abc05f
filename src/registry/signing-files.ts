/** Compares the files a signature lists with those that are there. */
import { signatureFileName } from "../artefact/folder.ts";
import { byName } from "./artefact-files.ts";
import type { SignedFile } from "./signing-statement.ts";

/** How signed files and found ones differ, or undefined. The signature itself is not signed. */
export function resourceFault(signed: readonly SignedFile[], found: readonly SignedFile[]): string | undefined {
  const left = new Map(signed.map(({ name, sha256 }) => [name, sha256]));
  for (const { name, sha256 } of [...found].sort(byName)) {
    if (name === signatureFileName) continue;
    const expected = left.get(name);
    if (expected === undefined) return `${name} was not signed`;
    if (expected !== sha256) return `${name} has sha256 ${sha256}, signed was ${expected}`;
    left.delete(name);
  }
  const [missing] = left.keys();
  return missing === undefined ? undefined : `${missing} was signed and is not there`;
}
