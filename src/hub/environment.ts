/** Where the Hub is, who asks and where downloads are kept: huggingface_hub's environment variables, files and meanings. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { messageOf, systemCodeOf, VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";

/** What public functions accept under `hub`. Whatever is left out comes from the environment. */
export interface HubOptions {
  /** Base URL of the Hub. Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /**
   * Access token; null sends none. Default: HF_TOKEN, else the file that `vene hub login` and `hf auth login` write. Those
   * belong to HF_ENDPOINT: they are not sent to an `endpoint` of another origin.
   */
  readonly token?: string | null;
  /** Default: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. Shared with Python. */
  readonly cacheFolder?: string;
  /** Send no request at all. Default: HF_HUB_OFFLINE. */
  readonly offline?: boolean;
  /** The environment variables to go by. Default: process.env. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

const optionNames = [
  "endpoint",
  "token",
  "cacheFolder",
  "offline",
  "variables",
] as const satisfies readonly (keyof HubOptions)[];

export interface HubEnvironment {
  /** Without a trailing slash. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** Where the token is kept between runs. */
  readonly tokenFile: string;
  /** HF_HOME. */
  readonly homeFolder: string;
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** Longest wait for a connection and for the headers of an answer. */
  readonly etagTimeoutMs: number;
  /** Longest silence in the middle of a body. */
  readonly downloadTimeoutMs: number;
  /** False copies files into snapshots where links would do (HF_HUB_DISABLE_SYMLINKS). */
  readonly symlinks: boolean;
  /** False where HF_HUB_DISABLE_PROGRESS_BARS says so. */
  readonly progress: boolean;
  /** URLs of proxies ("" for none) and the hosts that are reached without. */
  readonly proxies: { readonly http: string; readonly https: string; readonly bypass: string };
  /** Attempts at one request that may be repeated, and the first pause between two; it doubles from there. */
  readonly tries: number;
  readonly retryDelayMs: number;
  /** A server that asks for a longer pause than this is not waited for. */
  readonly longestWaitMs: number;
}

type Variables = NonNullable<HubOptions["variables"]>;

const DEFAULT_ENDPOINT = "https://huggingface.co";

/**
 * Puts options and environment variables together. Reads the token file. Throws `hub-usage` for an endpoint, token or folder
 * that cannot be one, and `hub-cache` where a token file exists and cannot be read.
 */
export function hubEnvironment(
  options: HubOptions = {},
  variables: Variables = options.variables ?? process.env,
): HubEnvironment {
  checkKeys("hub", options, optionNames, "hub-usage");
  const homeFolder = homeFolderOf(variables);
  const tokenFile = folder(variables["HF_TOKEN_PATH"], variables) ?? join(homeFolder, "token");
  const usual = checkEndpoint(variables["HF_ENDPOINT"] || DEFAULT_ENDPOINT);
  const endpoint = options.endpoint === undefined ? usual : checkEndpoint(options.endpoint);
  const implicit =
    new URL(endpoint).origin === new URL(usual).origin && !isTrue(variables["HF_HUB_DISABLE_IMPLICIT_TOKEN"]);
  return {
    endpoint,
    token:
      options.token !== undefined ? givenToken(options.token) : implicit ? usualToken(variables, tokenFile) : undefined,
    tokenFile,
    homeFolder,
    cacheFolder: folder(options.cacheFolder, variables) ?? cacheFolderOf(variables, homeFolder),
    offline: options.offline ?? (isTrue(variables["HF_HUB_OFFLINE"]) || isTrue(variables["TRANSFORMERS_OFFLINE"])),
    etagTimeoutMs: seconds(variables["HF_HUB_ETAG_TIMEOUT"], 10),
    downloadTimeoutMs: seconds(variables["HF_HUB_DOWNLOAD_TIMEOUT"], 30),
    symlinks: !isTrue(variables["HF_HUB_DISABLE_SYMLINKS"]),
    progress: !isTrue(variables["HF_HUB_DISABLE_PROGRESS_BARS"]),
    proxies: {
      http: either(variables, "http_proxy"),
      https: either(variables, "https_proxy"),
      bypass: either(variables, "no_proxy"),
    },
    tries: 4,
    retryDelayMs: 500,
    longestWaitMs: 60_000,
  };
}

/** huggingface_hub's true values: 1, on, yes, true in any case. */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}

function either(variables: Variables, name: string): string {
  return variables[name] ?? variables[name.toUpperCase()] ?? "";
}

/** A number of seconds between 0.1 and an hour; anything else means the default. */
function seconds(value: string | undefined, usual: number): number {
  const given = Number(value || usual);
  return 1000 * (given >= 0.1 && given <= 3600 ? given : usual);
}

/** An http or https URL in normal form without a trailing slash. Throws `hub-usage`. */
function checkEndpoint(text: string): string {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  const hint = "an endpoint looks like https://huggingface.co or http://127.0.0.1:7860";
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new VeneError("hub-usage", `the Hub's endpoint ${JSON.stringify(text)} is no http or https URL`, { hint });
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    // Not repeated: it may hold a password.
    throw new VeneError("hub-usage", `the Hub's endpoint at ${url.host} has credentials, a query or a fragment`, {
      hint: "give a token with HF_TOKEN in place of credentials in the URL",
    });
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** Visible ASCII, which is what a header can carry. Never repeated in a message. */
function checkToken(token: string, from: string): string {
  if (!/^[\x21-\x7e]{1,4096}$/.test(token)) {
    const why = token === "" ? "is empty" : "has spaces, line breaks or other characters no token has";
    throw new VeneError("hub-usage", `the token from ${from} ${why}`);
  }
  return token;
}

function givenToken(token: string | null): string | undefined {
  if (token === null) return undefined;
  return checkToken(typeof token === "string" ? token.trim() : "", "the options");
}

function usualToken(variables: Variables, tokenFile: string): string | undefined {
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const token = variables[name]?.trim();
    if (token) return checkToken(token, name);
  }
  try {
    const token = readFileSync(tokenFile, "utf8").trim();
    return token === "" ? undefined : checkToken(token, tokenFile);
  } catch (cause) {
    if (cause instanceof VeneError) throw cause;
    const code = systemCodeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new VeneError("hub-cache", `cannot read the token in ${tokenFile}: ${messageOf(cause)}`, {
      hint: "repair the file, or set HF_TOKEN",
      details: { path: tokenFile, system: code },
      cause,
    });
  }
}

function homeFolderOf(variables: Variables): string {
  const own = folder(variables["HF_HOME"], variables);
  if (own !== undefined) return own;
  const xdg = folder(variables["XDG_CACHE_HOME"], variables);
  return join(xdg ?? join(userFolder(variables), ".cache"), "huggingface");
}

function cacheFolderOf(variables: Variables, homeFolder: string): string {
  return (
    folder(variables["HF_HUB_CACHE"], variables) ??
    folder(variables["HUGGINGFACE_HUB_CACHE"], variables) ??
    join(homeFolder, "hub")
  );
}

/** An absolute path of a setting, with ~ and $VARIABLES as Python expands them; undefined when unset or empty. */
function folder(value: string | undefined, variables: Variables): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string" || value.includes("\0")) {
    throw new VeneError("hub-usage", `${JSON.stringify(value)} is no path of a folder`);
  }
  const replaced = value.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced: string, bare: string) => {
    return variables[braced ?? bare] ?? whole;
  });
  if (replaced === "~" || replaced.startsWith("~/")) return join(userFolder(variables), replaced.slice(1));
  return isAbsolute(replaced) ? replaced : resolve(replaced);
}

function userFolder(variables: Variables): string {
  if (variables["HOME"]) return variables["HOME"];
  try {
    return homedir();
  } catch (cause) {
    throw new VeneError("hub-usage", `there is no home folder: ${messageOf(cause)}`, { hint: "set HF_HOME", cause });
  }
}
