/** Where this package lies, for its version and for the examples shipped with it. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Package {
  readonly root: string;
  readonly version: string;
}

/** The nearest folder upwards whose package.json is vene's: the code runs from dist/ and, in tests, from src/. */
export function ownPackage(): Package {
  for (let root = dirname(fileURLToPath(import.meta.url)); ; root = dirname(root)) {
    const found = readPackage(join(root, "package.json"));
    if (found?.name === "vene") return { root, version: String(found.version) };
    if (root === dirname(root)) throw new Error("vene's package.json is missing above its own code");
  }
}

function readPackage(path: string): { readonly name?: unknown; readonly version?: unknown } | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // not there, or not ours
  }
}
