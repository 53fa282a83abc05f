/** The repository's own sources as text: files, and the modules they import. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../..", import.meta.url));

export interface SourceFile {
  /** Relative to the folder searched, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** All .ts files below a folder of the repository, by path. */
export function sourceFiles(folder: string): readonly SourceFile[] {
  const root = join(repository, folder);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: relative(root, path).replaceAll("\\", "/"), text: readFileSync(path, "utf8") }));
}

const specifiers = [
  /^\s*(?:import|export)\s[^;"']*?\sfrom\s*["']([^"']+)["']/gm,
  /^\s*import\s+["']([^"']+)["']/gm,
  /\bimport\(\s*["']([^"']+)["']\s*\)/g,
];

/** Module specifiers that a file imports: statements, re-exports, dynamic imports and import types. */
export function importsOf(text: string): readonly string[] {
  const found = specifiers.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!));
  return [...new Set(found)];
}

/** Path below src/ that a relative specifier means, seen from a file below src/. */
export function resolveImport(from: string, specifier: string): string {
  return join(dirname(from), specifier).replaceAll("\\", "/");
}

export function readRepositoryFile(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}
