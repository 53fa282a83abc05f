/** Where xorbs wait to become files: stores in the scratch folder, one for each repository and user. */
import { randomUUID } from "node:crypto";
import { mkdirSync, utimesSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../../base/errors.ts";
import { HttpError } from "../http/http-error.ts";
import type { Scratch } from "../scratch.ts";

export interface XorbOwner {
  /** The repository's `id`. */
  readonly repository: string;
  readonly user: string;
}

function keyOf({ repository, user }: XorbOwner): string {
  return `${repository} ${user}`;
}

/**
 * Each user has a store of their own for each repository: nobody can name, or replace, chunks that somebody else sent. Clients
 * remember for each CAS URL what they have sent there and refer to it later, so the URL carries the store's id, and the id lives
 * as long as the store: until it lies idle, its repository is deleted or the server ends.
 */
export class XorbStores {
  readonly #scratch: Scratch;
  /** Store ids by repository id and user. */
  readonly #stores = new Map<string, string>();

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /**
   * The id of an owner's store, which stays until it was neither asked for nor added to for `limits.uploadMs`. At once, so that
   * two requests at a time get the same.
   */
  open(owner: XorbOwner): string {
    const key = keyOf(owner);
    const known = this.#stores.get(key);
    if (known !== undefined && this.#touch(known)) return known;
    const id = randomUUID();
    mkdirSync(this.#folder(id));
    this.#stores.set(key, id);
    return id;
  }

  /** The folder of store `id`. Throws HttpError 404 unless it is the one that `owner` has now. */
  folderOf(id: string, owner: XorbOwner): string {
    if (this.#stores.get(keyOf(owner)) !== id) throw new HttpError(404, "this token is for no such xorb store");
    return this.#folder(id);
  }

  /** Throws away what waits for a repository that is being deleted. */
  async drop(repository: string): Promise<void> {
    for (const [key, id] of this.#stores) {
      if (!key.startsWith(keyOf({ repository, user: "" }))) continue;
      this.#stores.delete(key);
      await rm(this.#folder(id), { recursive: true, force: true });
    }
  }

  #folder(id: string): string {
    return join(this.#scratch.folder, `xorbs-${id}`);
  }

  /** Keeps the sweep of the scratch folder away; false when it has been here. */
  #touch(id: string): boolean {
    try {
      const now = new Date();
      utimesSync(this.#folder(id), now, now);
      return true;
    } catch (cause) {
      if (systemCodeOf(cause) === "ENOENT") return false;
      throw cause;
    }
  }
}
