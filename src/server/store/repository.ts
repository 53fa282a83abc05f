/** One repository: a folder that is a bare git repository, plus `hub.json` with what git does not know. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, VeneError } from "../../base/errors.ts";
import { parseJson } from "../../formats/json.ts";
import { HttpError } from "../http/http-error.ts";
import type { Scratch } from "../scratch.ts";
import { ObjectStore } from "./object-store.ts";
import { RefStore } from "./ref-store.ts";

export const repoTypes = ["model", "dataset", "space"] as const;
export type RepoType = (typeof repoTypes)[number];

/** Where a repository is found. */
export interface RepoName {
  readonly type: RepoType;
  readonly namespace: string;
  readonly name: string;
}

export const gatings = [false, "auto", "manual"] as const;
export type Gating = (typeof gatings)[number];

/** What the owner may change. */
export interface RepoSettings {
  readonly private: boolean;
  readonly gated: Gating;
}

interface RepoFacts extends RepoSettings {
  /** 24 hex digits; another one when a repository is made anew under the same name. */
  readonly id: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

const FACTS = "hub.json";

export class Repository implements RepoName {
  readonly type: RepoType;
  readonly namespace: string;
  readonly name: string;
  readonly folder: string;
  readonly objects: ObjectStore;
  readonly refs: RefStore;
  readonly #scratch: Scratch;
  #facts: RepoFacts;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #gone = false;

  private constructor(where: RepoName, folder: string, scratch: Scratch, facts: RepoFacts) {
    this.type = where.type;
    this.namespace = where.namespace;
    this.name = where.name;
    this.folder = folder;
    this.objects = new ObjectStore(join(folder, "objects"), scratch);
    this.refs = new RefStore(folder, scratch);
    this.#scratch = scratch;
    this.#facts = facts;
  }

  /** Lays a repository out in an empty folder: git's files, ours, and no ref yet. */
  static async layOut(folder: string, facts: RepoFacts): Promise<void> {
    await mkdir(join(folder, "objects"), { recursive: true });
    await mkdir(join(folder, "lfs", "objects"), { recursive: true });
    await mkdir(join(folder, "refs"));
    await writeFile(join(folder, "HEAD"), "ref: refs/heads/main\n");
    await writeFile(join(folder, "config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n");
    await writeFile(join(folder, "packed-refs"), "");
    await writeFile(join(folder, FACTS), `${JSON.stringify(facts)}\n`);
  }

  /** Opens a repository and checks that every ref stands at a commit that is there. Throws `server-storage`. */
  static async open(where: RepoName, folder: string, scratch: Scratch): Promise<Repository> {
    try {
      const facts = readFacts(await readFile(join(folder, FACTS), "utf8"));
      const repository = new Repository(where, folder, scratch, facts);
      await repository.refs.load();
      for (const [ref, oid] of repository.refs.all) {
        if (!(await repository.objects.has(oid))) throw new Error(`${ref} is at commit ${oid}, which is not there`);
      }
      return repository;
    } catch (cause) {
      throw new VeneError("server-storage", `the repository in ${folder} is damaged: ${messageOf(cause)}`, {
        hint: "restore it from a copy, or move it out of the hub's folder",
        details: { folder },
        cause,
      });
    }
  }

  get id(): string {
    return this.#facts.id;
  }

  get createdAt(): string {
    return this.#facts.createdAt;
  }

  get private(): boolean {
    return this.#facts.private;
  }

  get gated(): Gating {
    return this.#facts.gated;
  }

  /** "namespace/name". */
  get fullName(): string {
    return `${this.namespace}/${this.name}`;
  }

  /** Path of its pages and files: "/org/x" for a model, "/datasets/org/x". */
  get webPath(): string {
    return this.type === "model" ? `/${this.fullName}` : `/${this.type}s/${this.fullName}`;
  }

  /** The commit that `main` stands at. */
  get head(): string | undefined {
    return this.refs.all.get("refs/heads/main");
  }

  /** Runs one writer at a time, in the order of the calls. Throws HttpError 404 once the repository was removed. */
  async write<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastWrite.then(async () => {
      if (this.#gone) throw new HttpError(404, "Repository not found", { errorCode: "RepoNotFound" });
      return work();
    });
    this.#lastWrite = turn.catch(() => undefined);
    return turn;
  }

  /** Waits for the writers, runs `removal`, and refuses everyone after. */
  async retire(removal: () => Promise<void>): Promise<void> {
    await this.write(async () => {
      await removal();
      this.#gone = true;
    });
  }

  async changeSettings(settings: Partial<RepoSettings>): Promise<void> {
    await this.write(async () => {
      const facts = { ...this.#facts, ...settings };
      await this.#scratch.writeTo(join(this.folder, FACTS), `${JSON.stringify(facts)}\n`);
      this.#facts = facts;
    });
  }
}

function readFacts(text: string): RepoFacts {
  const value = parseJson(text, { name: FACTS });
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${FACTS} is no object`);
  const { id, createdAt, private: isPrivate, gated } = value;
  const gating = gatings.find((choice) => choice === gated);
  if (
    typeof id !== "string" ||
    typeof createdAt !== "string" ||
    typeof isPrivate !== "boolean" ||
    gating === undefined
  ) {
    throw new Error(`${FACTS} lacks id, createdAt, private or gated`);
  }
  return { id, createdAt, private: isPrivate, gated: gating };
}
