/** Folders of files as git has them (trees in trees) and as commits need them (one flat list of paths). */
import { HttpError } from "../http/http-error.ts";
import { BoundedMap } from "./bounded-map.ts";
import type { TreeEntry } from "./git-objects.ts";
import type { ObjectStore } from "./object-store.ts";

/** Paths with the oids of their blobs. */
export type Files = ReadonlyMap<string, string>;

/** A file or folder with its whole path. */
export interface PathEntry {
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly oid: string;
}

/** What stands at `path` ("" is the root); undefined for nothing. */
export async function entryAt(objects: ObjectStore, tree: string, path: string): Promise<PathEntry | undefined> {
  let entry: TreeEntry = { name: "", kind: "directory", oid: tree };
  for (const segment of path === "" ? [] : path.split("/")) {
    if (entry.kind !== "directory") return undefined;
    const next: TreeEntry | undefined = (await objects.readTree(entry.oid)).find(({ name }) => name === segment);
    if (next === undefined) return undefined;
    entry = next;
  }
  return { path, kind: entry.kind, oid: entry.oid };
}

/** Everything in a folder, in git's order; folders within it are followed when `recursive`. */
export async function* entriesIn(
  objects: ObjectStore,
  { path, oid }: PathEntry,
  recursive: boolean,
): AsyncGenerator<PathEntry> {
  for (const { name, kind, oid: child } of await objects.readTree(oid)) {
    const entry = { path: path === "" ? name : `${path}/${name}`, kind, oid: child };
    yield entry;
    if (recursive && kind === "directory") yield* entriesIn(objects, entry, true);
  }
}

const flat = new BoundedMap<string, Files>(64);

/** All files of a tree. */
export async function filesOf(objects: ObjectStore, tree: string): Promise<Files> {
  return flat.getOrMake(tree, async () => {
    const files = new Map<string, string>();
    for await (const { path, kind, oid } of entriesIn(objects, { path: "", kind: "directory", oid: tree }, true)) {
      if (kind === "file") files.set(path, oid);
    }
    return files;
  });
}

interface Folder {
  readonly files: Map<string, string>;
  readonly folders: Map<string, Folder>;
}

const newFolder = (): Folder => ({ files: new Map(), folders: new Map() });

/** Writes the trees of a list of files and gives the root's oid. Throws HttpError 400 when one path is file and folder. */
export async function writeFiles(objects: ObjectStore, files: Files): Promise<string> {
  const root = newFolder();
  for (const [path, oid] of files) {
    const segments = path.split("/");
    const name = segments.pop()!;
    let folder = root;
    for (const segment of segments) {
      if (folder.files.has(segment)) throw clash(path);
      const next = folder.folders.get(segment) ?? newFolder();
      folder.folders.set(segment, next);
      folder = next;
    }
    if (folder.folders.has(name)) throw clash(path);
    folder.files.set(name, oid);
  }
  return writeFolder(objects, root);
}

function clash(path: string): HttpError {
  return new HttpError(400, `${path} would be a file and a folder, or lie inside a file`);
}

async function writeFolder(objects: ObjectStore, { files, folders }: Folder): Promise<string> {
  const entries: TreeEntry[] = [...files].map(([name, oid]) => ({ name, kind: "file", oid }));
  for (const [name, folder] of folders)
    entries.push({ name, kind: "directory", oid: await writeFolder(objects, folder) });
  return objects.writeTree(entries);
}
