/** Which repositories a caller sees and changes; the others do not exist for them, rather than being forbidden, as on the Hub. */
import { HttpError } from "./http/http-error.ts";
import { belongsTo, type Identity, mayWrite } from "./identity.ts";
import type { RepoAccess } from "./route.ts";
import type { Repository } from "./store/repository.ts";

type Owned = Pick<Repository, "namespace" | "private">;

export function mayRead(identity: Identity, repository: Owned): boolean {
  return !repository.private || belongsTo(identity, repository.namespace);
}

const rules = {
  read: () => true,
  contribute: mayWrite,
  write: (identity, { namespace }) => mayWrite(identity) && belongsTo(identity, namespace),
} as const satisfies { [A in RepoAccess]: (identity: Identity, repository: Owned) => boolean };

/** The repository if the caller may do that with it. Throws HttpError 401, 403 or 404, telling nobody what is hidden. */
export function demandAccess(found: Repository | undefined, identity: Identity, access: RepoAccess): Repository {
  if (found === undefined || !mayRead(identity, found)) {
    const status = identity.name === undefined ? 401 : 404;
    throw new HttpError(status, "Repository not found", { errorCode: "RepoNotFound" });
  }
  if (rules[access](identity, found)) return found;
  if (identity.name === undefined) throw notSignedIn();
  throw new HttpError(403, `the token of ${identity.name} may not change ${found.fullName}`);
}

/** For what may be read but not changed without a token. */
export function notSignedIn(): HttpError {
  return new HttpError(401, "Invalid username or password.");
}
