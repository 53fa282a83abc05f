/** login, whoami and logout: a token is asked about before it is kept, and never shown. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { type HubOptions, hubEnvironment } from "./environment.ts";
import { removeToken, storeToken } from "./token-store.ts";
import { type Identity, identityOf, type ListedRepo, type ListOptions, listRepos } from "./verbs.ts";

export interface HubCallOptions {
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

const optionNames = ["hub", "signal"] as const satisfies readonly (keyof HubCallOptions)[];
const listOptionNames = ["author", "search", "base", "limit", ...optionNames] as const;

/**
 * Asks the Hub who the token belongs to and stores it for HF_ENDPOINT, for vene and for Python. Throws `hub-unauthorized` for a
 * token that the Hub does not know, `hub-usage` for an endpoint other than HF_ENDPOINT, `write-failed`.
 */
export async function login(token: string, options: HubCallOptions = {}): Promise<Identity> {
  checkKeys("login's options", options, optionNames, "usage");
  const environment = hubEnvironment({ ...options.hub, token });
  const { endpoint: _endpoint, ...others } = options.hub ?? {};
  const usual = hubEnvironment({ ...others, token: null });
  if (new URL(environment.endpoint).origin !== new URL(usual.endpoint).origin) {
    throw new VeneError("hub-usage", `tokens are stored for ${usual.endpoint}, not for ${environment.endpoint}`, {
      hint: "set HF_ENDPOINT, and HF_HOME to a folder of its own",
      details: { endpoint: environment.endpoint, stored: usual.endpoint },
    });
  }
  const identity = await identityOf({ environment, signal: options.signal });
  await storeToken(environment, environment.token!, identity.tokenName ?? identity.name);
  return identity;
}

/** Who the token in use belongs to. Throws `hub-unauthorized` when there is none or the Hub does not know it. */
export async function whoami(options: HubCallOptions = {}): Promise<Identity> {
  checkKeys("whoami's options", options, optionNames, "usage");
  return identityOf({ environment: hubEnvironment(options.hub), signal: options.signal });
}

/** Forgets the stored token in use. False when there was none; one in HF_TOKEN is not ours to forget. */
export async function logout(options: Pick<HubCallOptions, "hub"> = {}): Promise<boolean> {
  checkKeys("logout's options", options, ["hub"], "usage");
  return removeToken(hubEnvironment({ ...options.hub, token: null }));
}

/** Interventions on the Hub: models tagged "vene", the latest first. */
export async function listInterventions(options: ListOptions & HubCallOptions = {}): Promise<readonly ListedRepo[]> {
  checkKeys("the options of the list", options, listOptionNames, "usage");
  const { hub, signal, ...rest } = options;
  return listRepos({ environment: hubEnvironment(hub), signal }, rest);
}
