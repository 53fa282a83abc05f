/** Small questions to a Hub: who a token belongs to, and which interventions there are. */
import type { HubEnvironment } from "./environment.ts";
import { hubJson } from "./transport.ts";
import { modelsShape, shaped, whoamiShape } from "./verbs-shapes.ts";

export interface Asking {
  readonly environment: HubEnvironment;
  readonly signal?: AbortSignal | undefined;
}

/** Who a token belongs to. */
export interface Identity {
  readonly name: string;
  readonly fullName: string | undefined;
  readonly organisations: readonly string[];
  /** "read", "write", "fineGrained", ... and the name its owner gave the token. */
  readonly role: string | undefined;
  readonly tokenName: string | undefined;
  readonly endpoint: string;
}

/** Throws `hub-unauthorized` without a token or for one that the Hub does not know. */
export async function identityOf({ environment, signal }: Asking): Promise<Identity> {
  const what = "asking who the token belongs to";
  const { value } = await hubJson(environment, { url: "/api/whoami-v2", what, signal });
  const { name, fullname, orgs, auth } = shaped(whoamiShape, value, what);
  return {
    name,
    fullName: fullname,
    organisations: (orgs ?? []).map((org) => org.name),
    role: auth?.accessToken?.role,
    tokenName: auth?.accessToken?.displayName,
    endpoint: environment.endpoint,
  };
}

export interface ListOptions {
  /** User or organisation. */
  readonly author?: string | undefined;
  readonly search?: string | undefined;
  /** Hub id of the model they are for. */
  readonly base?: string | undefined;
  /** Default 50. */
  readonly limit?: number | undefined;
}

/** One repository in a list. */
export interface ListedRepo {
  readonly repo: string;
  readonly private: boolean;
  readonly lastModified: string | undefined;
  readonly tags: readonly string[];
}

/** Repositories that hold interventions of vene, the latest first. */
export async function listRepos({ environment, signal }: Asking, options: ListOptions): Promise<ListedRepo[]> {
  const { author, search, base, limit = 50 } = options;
  const query = new URLSearchParams({ sort: "lastModified", limit: String(limit) });
  query.append("filter", "vene");
  if (base !== undefined) query.append("filter", `base_model:adapter:${base}`);
  if (author !== undefined) query.set("author", author);
  if (search !== undefined) query.set("search", search);
  for (const field of ["private", "lastModified", "tags"]) query.append("expand", field);
  const what = "listing interventions";
  const { value } = await hubJson(environment, { url: `/api/models?${query}`, what, signal });
  return shaped(modelsShape, value, what).map((model) => ({
    repo: model.id,
    private: model.private ?? false,
    lastModified: model.lastModified,
    tags: model.tags ?? [],
  }));
}
