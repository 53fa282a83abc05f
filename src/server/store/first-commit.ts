/** What a new repository holds: a .gitattributes that sends large kinds of files to LFS. */
import type { Repository } from "./repository.ts";
import { writeFiles } from "./trees.ts";

/** Kinds of files that are always stored as large files, whatever their size. */
export const lfsExtensions: readonly string[] = [
  ...["7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gguf", "gz", "h5", "joblib", "mlmodel", "model", "msgpack"],
  ...["npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar", "tflite"],
  ...["tgz", "wasm", "xz", "zip", "zst"],
];

const lfsLine = (pattern: string) => `${pattern} filter=lfs diff=lfs merge=lfs -text\n`;

/** True for a path whose extension is one of the list. */
export function isLfsPath(path: string): boolean {
  const extension = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  return path.includes(".") && lfsExtensions.includes(extension);
}

/** `.gitattributes` with lines for the paths that it does not cover; git itself then treats them as large files, too. */
export function coverInAttributes(attributes: string, paths: readonly string[]): string {
  const covered = new Set(attributes.split("\n").map((line) => line.split(" ", 1)[0]));
  const missing = paths
    .map((path) => path.replaceAll(" ", "[[:space:]]"))
    .filter((path) => {
      const extension = `*.${path.slice(path.lastIndexOf(".") + 1)}`;
      return !covered.has(path) && !covered.has(extension);
    });
  const start = attributes === "" || attributes.endsWith("\n") ? attributes : `${attributes}\n`;
  return missing.length === 0 ? attributes : start + missing.map(lfsLine).join("");
}

/** Gives an empty repository its first commit on main. */
export async function writeFirstCommit({ objects, refs }: Repository, author: string): Promise<void> {
  const attributes = lfsExtensions.map((extension) => lfsLine(`*.${extension}`)).join("");
  const oid = await objects.writeBlob(Buffer.from(attributes));
  const tree = await writeFiles(objects, new Map([[".gitattributes", oid]]));
  const time = Math.floor(Date.now() / 1000);
  await refs.update({
    "refs/heads/main": await objects.writeCommit({ tree, parents: [], author, time, message: "initial commit" }),
  });
}
