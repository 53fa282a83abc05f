/** The git objects of one repository: loose files, deflated, each written whole before it gets its name. */
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, deflate, inflate } from "node:zlib";
import type { LfsObject } from "../lfs-store.ts";
import type { Scratch } from "../scratch.ts";
import { BoundedMap } from "./bounded-map.ts";
import {
  type Commit,
  decodeCommit,
  decodeTree,
  encodeCommit,
  encodeObject,
  encodeTree,
  type ObjectKind,
  oidOf,
  type TreeEntry,
} from "./git-objects.ts";
import { decodePointer, MAX_POINTER_BYTES } from "./lfs-pointer.ts";

const deflated = promisify(deflate);
const inflated = promisify(inflate);

/** What a blob is, without its content. */
export interface BlobFacts {
  /** Bytes of the blob itself: of the pointer, for a large file. */
  readonly size: number;
  /** The large file that the blob points to. */
  readonly lfs: LfsObject | undefined;
}

export class ObjectStore {
  readonly #folder: string;
  readonly #scratch: Scratch;
  readonly #trees = new BoundedMap<string, readonly TreeEntry[]>(2000);
  readonly #commits = new BoundedMap<string, Commit>(5000);
  readonly #facts = new BoundedMap<string, BlobFacts>(100_000);

  /** `folder`: the `objects` folder of a bare repository. */
  constructor(folder: string, scratch: Scratch) {
    this.#folder = folder;
    this.#scratch = scratch;
  }

  /** Stores a blob and gives its id. */
  async writeBlob(content: Uint8Array): Promise<string> {
    return this.#write("blob", content);
  }

  async writeTree(entries: readonly TreeEntry[]): Promise<string> {
    return this.#write("tree", encodeTree(entries));
  }

  async writeCommit(commit: Commit): Promise<string> {
    return this.#write("commit", encodeCommit(commit));
  }

  async readBlob(oid: string): Promise<Buffer> {
    return this.#read("blob", oid);
  }

  async readTree(oid: string): Promise<readonly TreeEntry[]> {
    return this.#trees.getOrMake(oid, async () => decodeTree(await this.#read("tree", oid)));
  }

  async readCommit(oid: string): Promise<Commit> {
    return this.#commits.getOrMake(oid, async () => decodeCommit(await this.#read("commit", oid)));
  }

  async blobFacts(oid: string): Promise<BlobFacts> {
    return this.#facts.getOrMake(oid, async () => {
      const content = await this.readBlob(oid);
      return { size: content.length, lfs: content.length > MAX_POINTER_BYTES ? undefined : decodePointer(content) };
    });
  }

  async has(oid: string): Promise<boolean> {
    return access(this.#pathOf(oid)).then(
      () => true,
      () => false,
    );
  }

  /** Ids of objects that start with 2 to 39 hex digits. */
  async startingWith(start: string): Promise<string[]> {
    const folder = start.slice(0, 2);
    const names = await readdir(join(this.#folder, folder)).catch((): string[] => []);
    return names.filter((name) => name.startsWith(start.slice(2))).map((name) => folder + name);
  }

  async #write(kind: ObjectKind, content: Uint8Array): Promise<string> {
    const encoded = encodeObject(kind, content);
    const oid = oidOf(encoded);
    if (await this.has(oid)) return oid;
    await this.#scratch.writeTo(this.#pathOf(oid), await deflated(encoded, { level: constants.Z_BEST_SPEED }));
    return oid;
  }

  /** The content without git's header. Throws a plain Error when the object is damaged or of another kind. */
  async #read(kind: ObjectKind, oid: string): Promise<Buffer> {
    const encoded = await inflated(await readFile(this.#pathOf(oid)));
    const end = encoded.indexOf(0);
    if (encoded.toString("latin1", 0, end) !== `${kind} ${encoded.length - end - 1}`) {
      throw new Error(`object ${oid} is damaged or not a ${kind}`);
    }
    return encoded.subarray(end + 1);
  }

  #pathOf(oid: string): string {
    return join(this.#folder, oid.slice(0, 2), oid.slice(2));
  }
}
