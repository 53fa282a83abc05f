/** git's objects as bytes, and their ids: what this server stores is a repository that git itself can read. */
import { createHash } from "node:crypto";

export type ObjectKind = "blob" | "tree" | "commit";

export interface TreeEntry {
  readonly name: string;
  readonly kind: "file" | "directory";
  /** 40 hex digits. */
  readonly oid: string;
}

export interface Commit {
  /** Oid of its tree. */
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: string;
  /** Seconds since 1970. */
  readonly time: number;
  /** The title, and after an empty line the description. */
  readonly message: string;
}

/** The bytes that git hashes and stores (deflated). */
export function encodeObject(kind: ObjectKind, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${kind} ${content.length}\0`), content]);
}

/** The id git gives to encoded bytes. */
export function oidOf(encoded: Uint8Array): string {
  return createHash("sha1").update(encoded).digest("hex");
}

const modes = { file: "100644", directory: "40000" } as const;

/** Entries in any order; git sorts them as if directories ended with a slash. */
export function encodeTree(entries: readonly TreeEntry[]): Buffer {
  const sortKey = ({ name, kind }: TreeEntry) => Buffer.from(kind === "directory" ? `${name}/` : name);
  const sorted = entries.map((entry) => ({ entry, key: sortKey(entry) })).sort((a, b) => a.key.compare(b.key));
  return Buffer.concat(
    sorted.flatMap(({ entry }) => [Buffer.from(`${modes[entry.kind]} ${entry.name}\0`), Buffer.from(entry.oid, "hex")]),
  );
}

/** Throws a plain Error on bytes that are no tree. */
export function decodeTree(bytes: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const end = bytes.indexOf(0, at);
    if (space < 0 || end < space || end + 21 > bytes.length) throw new Error("a tree object is damaged");
    const mode = bytes.toString("latin1", at, space);
    entries.push({
      name: bytes.toString("utf8", space + 1, end),
      kind: mode === modes.directory ? "directory" : "file",
      oid: bytes.toString("hex", end + 1, end + 21),
    });
    at = end + 21;
  }
  return entries;
}

export function encodeCommit({ tree, parents, author, time, message }: Commit): Buffer {
  const person = `${author} <${author}@hub.local> ${time} +0000`;
  const lines = [
    `tree ${tree}`,
    ...parents.map((parent) => `parent ${parent}`),
    `author ${person}`,
    `committer ${person}`,
  ];
  return Buffer.from(`${lines.join("\n")}\n\n${message}\n`);
}

/** Throws a plain Error on bytes that are no commit. */
export function decodeCommit(bytes: Buffer): Commit {
  const text = bytes.toString("utf8");
  const split = text.indexOf("\n\n");
  const head = text.slice(0, split < 0 ? text.length : split).split("\n");
  const valuesOf = (key: string) =>
    head.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const tree = valuesOf("tree")[0];
  const author = /^(.*) <[^>]*> (\d+) [+-]\d{4}$/.exec(valuesOf("author")[0] ?? "");
  if (tree === undefined || author === null) throw new Error("a commit object is damaged");
  const message = split < 0 ? "" : text.slice(split + 2).replace(/\n$/, "");
  return { tree, parents: valuesOf("parent"), author: author[1]!, time: Number(author[2]), message };
}

/** The two parts of a commit's message. */
export function splitMessage(message: string): { readonly title: string; readonly description: string } {
  const [title = "", ...rest] = message.split("\n");
  return { title, description: rest.join("\n").trim() };
}
