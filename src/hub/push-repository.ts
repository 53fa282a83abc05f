/** Finds or makes the repository that is pushed to. */
import { VeneError } from "../base/errors.ts";
import { createBranch, type Head, headOf, type Place } from "./push-state.ts";
import type { RepoId } from "./repo-id.ts";
import { hubRequest } from "./transport.ts";
import { identityOf } from "./verbs.ts";

export interface RepositoryOptions {
  readonly branch: string;
  /** Visibility of a new repository; true refuses one that is public. undefined = the account's default, any visibility. */
  readonly private: boolean | undefined;
}

export interface Opened {
  readonly place: Place;
  readonly head: Head;
  /** Whether it was made just now. */
  readonly created: boolean;
}

/**
 * The repository with the head of the branch; makes what is not there. "name" alone is in the namespace of the token's user.
 * Throws `hub-conflict` for a public repository where a private one is asked for, and what requests throw.
 */
export async function openRepository(given: Place, options: RepositoryOptions): Promise<Opened> {
  const place = { ...given, repo: await withNamespace(given) };
  const { branch } = options;
  const found = await headIfThere(place, "main");
  const created = found === undefined && (await createRepository(place, options.private));
  const main = found ?? (await headOf(place, "main"));
  if (options.private === true && main.private === false) {
    throw new VeneError("hub-conflict", `${place.repo.name} exists and is public, but private was asked for`, {
      hint: "make it private on the Hub first, or choose another repository",
      details: { repo: place.repo.name },
    });
  }
  if (branch === "main") return { place, head: main, created };
  const head = await headIfThere(place, branch);
  if (head !== undefined) return { place, head, created };
  await createBranch(place, branch);
  return { place, head: await headOf(place, branch), created };
}

async function withNamespace({ environment, repo, signal }: Place): Promise<RepoId> {
  if (repo.name.includes("/")) return repo;
  const { name } = await identityOf({ environment, signal });
  return { ...repo, name: `${name}/${repo.name}` };
}

async function headIfThere(place: Place, revision: string): Promise<Head | undefined> {
  try {
    return await headOf(place, revision);
  } catch (thrown) {
    if (thrown instanceof VeneError && thrown.code === "hub-not-found") return undefined;
    throw thrown;
  }
}

/** False where somebody else was faster. */
async function createRepository({ environment, repo, signal }: Place, hidden: boolean | undefined): Promise<boolean> {
  const [organization, name] = repo.name.split("/");
  const { body, status } = await hubRequest(environment, {
    method: "POST",
    url: "/api/repos/create",
    what: `creating ${repo.name}`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name, organization, type: repo.type, private: hidden }),
    // Once made, a second try is told 409.
    repeatable: true,
    accept: [409],
    signal,
  });
  body.destroy();
  return status !== 409;
}
