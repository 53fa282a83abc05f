/** The lines of one name: found by version without parsing the others, and changed one at a time. */
import { VeneError } from "../base/errors.ts";
import { type IndexLine, indexLineSchema } from "../spec/registry-index.ts";
import { parseDocument } from "./documents.ts";
import { indexPath } from "./names.ts";
import { compareVersions } from "./semver.ts";
import type { Snapshot } from "./store.ts";

export const MAX_INDEX_BYTES = 1 << 28;

/** How our writers begin a line. Lines that others wrote in another order are parsed whole. */
const beginning = /^\{"v":1,"name":"([a-z0-9._/-]+)","version":"([0-9A-Za-z.-]+)"/;

export class IndexFile {
  readonly name: string;
  /** Sentences worth telling the user. */
  readonly notices: string[] = [];
  readonly #lines = new Map<string, string | IndexLine>();
  readonly #others: string[] = [];

  /** Text of a whole file. Throws `registry-invalid` for lines that are none, `registry-integrity` for two of one version. */
  constructor(name: string, text: string) {
    this.name = name;
    const path = indexPath(name);
    const ends = text.endsWith("\n") || text === "";
    const rows = text.split("\n");
    const last = rows.pop()!;
    rows.forEach((row, i) => void this.#add(row, `${path}, line ${i + 1}`));
    // Whoever writes the file in place may be at it just now.
    if (!ends) this.notices.push(`${path} ends in half a line of ${last.length} characters, which was ignored`);
    if (this.#others.length > 0) {
      this.notices.push(`${path} has ${this.#others.length} lines for newer versions of vene, which were ignored`);
    }
  }

  /** Undefined for a name that the registry does not have. */
  static async read(snapshot: Snapshot, name: string): Promise<IndexFile | undefined> {
    const bytes = await snapshot.read(indexPath(name), MAX_INDEX_BYTES);
    return bytes === undefined ? undefined : new IndexFile(name, Buffer.from(bytes).toString("utf8"));
  }

  /** In the order they were published. */
  get versions(): readonly string[] {
    return [...this.#lines.keys()];
  }

  /** Highest first. */
  get descending(): readonly string[] {
    return this.versions.toSorted((a, b) => compareVersions(b, a));
  }

  /** Throws `registry-invalid`. */
  line(version: string): IndexLine | undefined {
    const kept = this.#lines.get(version);
    if (typeof kept !== "string") return kept;
    const line = this.#parse(kept, `${indexPath(this.name)}, ${version}`);
    this.#lines.set(version, line);
    return line;
  }

  /** The version that is this release. */
  versionOf(digest: string): string | undefined {
    for (const [version, kept] of this.#lines) {
      if (typeof kept === "string" && !kept.includes(digest)) continue;
      if (this.line(version)!.digest === digest) return version;
    }
    return undefined;
  }

  /** Adds a version, or replaces its line. */
  set(line: IndexLine): void {
    this.#lines.set(line.version, line);
  }

  /** The file's text: lines that were not touched keep their bytes. */
  get text(): string {
    const rows = [...this.#lines.values()].map((kept) => (typeof kept === "string" ? kept : JSON.stringify(kept)));
    return [...rows, ...this.#others].map((row) => `${row}\n`).join("");
  }

  #add(row: string, where: string): void {
    if (row === "") return;
    const [, name, version] = beginning.exec(row) ?? [];
    if (version === undefined || name !== this.name) this.#addParsed(row, where);
    else this.#addOnce(version, row, where);
  }

  #addParsed(row: string, where: string): void {
    if (/^\{"v":(?!1[,}])\d{1,9}[,}]/.test(row)) this.#others.push(row);
    else {
      const line = this.#parse(row, where);
      this.#addOnce(line.version, line, where);
    }
  }

  #addOnce(version: string, kept: string | IndexLine, where: string): void {
    if (this.#lines.has(version)) {
      throw new VeneError("registry-integrity", `${where}: ${this.name} has two lines for ${version}`, {
        hint: "a version is published once; tell who runs the registry",
        details: { name: this.name, version },
      });
    }
    this.#lines.set(version, kept);
  }

  #parse(row: string, where: string): IndexLine {
    const line = parseDocument(indexLineSchema, row, where);
    if (line.name === this.name) return line;
    throw new VeneError("registry-invalid", `${where} is about ${line.name}`, { details: { name: this.name } });
  }
}
