/** All repositories of a hub folder: found at start, made and removed by one rename each. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { HttpError } from "../http/http-error.ts";
import { isNamespace, isRepoPart } from "../names.ts";
import { moveInto, type Scratch } from "../scratch.ts";
import { writeFirstCommit } from "./first-commit.ts";
import { type RepoName, type RepoSettings, Repository, type RepoType, repoTypes } from "./repository.ts";

export class Repositories {
  readonly #folder: string;
  readonly #scratch: Scratch;
  /** By type and name in lower case: names that differ in case only would be one folder on some disks. */
  readonly #byName = new Map<string, Repository>();
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor(folder: string, scratch: Scratch) {
    this.#folder = folder;
    this.#scratch = scratch;
  }

  /** Finds what is there. Throws `server-storage` for a damaged repository. */
  async load(): Promise<void> {
    for (const type of repoTypes) {
      const root = join(this.#folder, `${type}s`);
      await mkdir(root, { recursive: true });
      for (const namespace of await foldersIn(root)) {
        for (const entry of await foldersIn(join(root, namespace))) {
          const where = { type, namespace, name: entry.replace(/\.git$/, "") };
          if (!entry.endsWith(".git") || !isNamespace(namespace) || !isRepoPart(where.name)) continue;
          this.#byName.set(keyOf(where), await Repository.open(where, this.#folderOf(where), this.#scratch));
        }
      }
    }
  }

  get(type: RepoType, namespace: string, name: string): Repository | undefined {
    const found = this.#byName.get(keyOf({ type, namespace, name }));
    return found?.namespace === namespace && found.name === name ? found : undefined;
  }

  /** The repository with this `id`, wherever it was moved to. */
  byId(id: string): Repository | undefined {
    return this.list().find((repository) => repository.id === id);
  }

  list(): Repository[] {
    return [...this.#byName.values()];
  }

  /** Makes a repository with its first commit. Throws HttpError 400 (name) or 409 (taken; `taken` gives the answer's fields). */
  async create(
    where: RepoName,
    settings: RepoSettings,
    author: string,
    taken: Record<string, unknown>,
  ): Promise<Repository> {
    return this.#change(async () => {
      this.#checkFree(where, taken);
      const staging = this.#scratch.newPath();
      const facts = { id: randomBytes(12).toString("hex"), createdAt: new Date().toISOString(), ...settings };
      await Repository.layOut(staging, facts);
      await writeFirstCommit(await Repository.open(where, staging, this.#scratch), author);
      await moveInto(staging, this.#folderOf(where));
      return this.#add(where);
    });
  }

  async remove(repository: Repository): Promise<void> {
    await this.#change(async () => {
      const trash = this.#scratch.newPath();
      await repository.retire(() => rename(repository.folder, trash));
      this.#byName.delete(keyOf(repository));
      await rm(trash, { recursive: true, force: true });
    });
  }

  /** Gives a repository another name. Throws HttpError 400 or 409. */
  async move(repository: Repository, to: RepoName): Promise<Repository> {
    return this.#change(async () => {
      this.#checkFree(to, {});
      await repository.retire(() => moveInto(repository.folder, this.#folderOf(to)));
      this.#byName.delete(keyOf(repository));
      return this.#add(to);
    });
  }

  async #add(where: RepoName): Promise<Repository> {
    const repository = await Repository.open(where, this.#folderOf(where), this.#scratch);
    this.#byName.set(keyOf(where), repository);
    return repository;
  }

  #checkFree(where: RepoName, taken: Record<string, unknown>): void {
    if (!isNamespace(where.namespace) || !isRepoPart(where.name)) {
      throw new HttpError(400, `Invalid repo name: ${where.namespace}/${where.name}`);
    }
    if (this.#byName.has(keyOf(where))) {
      const message = `You already created this ${where.type} repo: ${where.namespace}/${where.name}`;
      throw new HttpError(409, message, { fields: taken });
    }
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastChange.then(work);
    this.#lastChange = turn.catch(() => undefined);
    return turn;
  }

  #folderOf({ type, namespace, name }: RepoName): string {
    return join(this.#folder, `${type}s`, namespace, `${name}.git`);
  }
}

function keyOf({ type, namespace, name }: RepoName): string {
  return `${type}/${namespace}/${name}`.toLowerCase();
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
