/** The branches, tags and pull requests of one repository, in git's `packed-refs`: one file, so one rename changes them all. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Scratch } from "../scratch.ts";

/** Full ref names ("refs/heads/main", "refs/tags/v1", "refs/pr/3") with the commits they stand at. */
export type Refs = ReadonlyMap<string, string>;

const line = /^([0-9a-f]{40}) (refs\/\S+)$/;

export class RefStore {
  readonly #path: string;
  readonly #scratch: Scratch;
  #refs: Refs = new Map();

  /** `folder`: a bare repository. */
  constructor(folder: string, scratch: Scratch) {
    this.#path = join(folder, "packed-refs");
    this.#scratch = scratch;
  }

  /** Reads the file. Throws a plain Error when it is damaged. */
  async load(): Promise<void> {
    const lines = (await readFile(this.#path, "utf8"))
      .split("\n")
      .filter((text) => text !== "" && !text.startsWith("#"));
    const refs = new Map<string, string>();
    for (const text of lines) {
      const found = line.exec(text);
      if (found === null) throw new Error(`${this.#path} has the line ${JSON.stringify(text.slice(0, 100))}`);
      refs.set(found[2]!, found[1]!);
    }
    this.#refs = refs;
  }

  get all(): Refs {
    return this.#refs;
  }

  /** Sets refs, and removes those given as undefined, all at once. Only inside the repository's write queue. */
  async update(changes: Readonly<Record<string, string | undefined>>): Promise<void> {
    const refs = new Map(this.#refs);
    for (const [name, oid] of Object.entries(changes)) {
      if (oid === undefined) refs.delete(name);
      else refs.set(name, oid);
    }
    const sorted = [...refs].sort(([a], [b]) => (a < b ? -1 : 1));
    const text = ["# pack-refs with: peeled fully-peeled sorted ", ...sorted.map(([name, oid]) => `${oid} ${name}`)];
    await this.#scratch.writeTo(this.#path, `${text.join("\n")}\n`);
    this.#refs = new Map(sorted);
  }
}
