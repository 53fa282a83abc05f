/** Names on the Hub: repositories, revisions and paths in them, checked before they become part of a URL or a local path. */
import { VeneError } from "../base/errors.ts";

export type RepoType = "model" | "dataset" | "space";

export interface RepoId {
  readonly type: RepoType;
  /** "organisation/name", or the bare name of the oldest models: "gpt2". */
  readonly name: string;
}

const plurals = { model: "models", dataset: "datasets", space: "spaces" } as const satisfies Record<RepoType, string>;

const part = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;

function isName(name: string): boolean {
  const parts = name.split("/");
  if (parts.length > 2 || name.length > 96 || name.endsWith(".git")) return false;
  return parts.every((one) => part.test(one) && !one.includes("--") && !one.includes(".."));
}

/** Reads "org/name", "name" or, with its type in front, "datasets/org/name". Throws `hub-usage`. */
export function parseRepoId(text: string, type: RepoType = "model"): RepoId {
  for (const [kind, plural] of Object.entries(plurals) as [RepoType, string][]) {
    const rest = typeof text === "string" && text.startsWith(`${plural}/`) ? text.slice(plural.length + 1) : "";
    if (rest.includes("/") && isName(rest)) return { type: kind, name: rest };
  }
  if (typeof text !== "string" || !isName(text)) {
    throw new VeneError("hub-usage", `${JSON.stringify(text)} is no id of a repository on the Hub`, {
      hint: 'an id is "organisation/name": letters, digits, dashes, dots and underscores, 96 at most',
      details: { repo: text },
    });
  }
  return { type, name: text };
}

/** Reads an id that may name its revision, as "org/name@v1.0", and may say that it is one: "hf:org/name". Throws `hub-usage`. */
export function parseRepoRef(text: string, type: RepoType = "model"): { repo: RepoId; revision: string | undefined } {
  const id = typeof text === "string" ? text.replace(/^hf:/, "") : text;
  const at = typeof id === "string" ? id.indexOf("@") : -1;
  if (at === -1) return { repo: parseRepoId(id, type), revision: undefined };
  return { repo: parseRepoId(id.slice(0, at), type), revision: checkRevision(id.slice(at + 1)) };
}

/** Whether a text reads as an id, with or without a revision. A relative folder of two parts does, too. */
export function looksLikeRepo(text: string): boolean {
  const [name = "", revision, ...rest] = text.replace(/^hf:/, "").split("@");
  return isName(name) && rest.length === 0 && (revision === undefined || isRevision(revision));
}

/** git's rules for refs, a little narrower: such a name is also safe as a relative path. */
function isRevision(revision: string): boolean {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}$/.test(revision) || revision.includes("..")) return false;
  return revision.split("/").every((one) => one !== "" && !/^\.|\.$|\.lock$/.test(one));
}

/** A branch, tag, pull request ("refs/pr/1") or commit. Throws `hub-usage`. */
export function checkRevision(revision: string): string {
  if (typeof revision === "string" && isRevision(revision)) return revision;
  throw new VeneError("hub-usage", `${JSON.stringify(revision)} is no revision`, {
    hint: "give a branch, a tag, refs/pr/1 or a commit",
    details: { revision },
  });
}

/** Whether a text is a full commit id: 40 lower-case hex digits. */
export function isCommit(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{40}$/.test(text);
}

/** Whether a path of a repository stays inside a folder it is put into, on any system. */
export function isSafePath(path: string): boolean {
  if (path.length > 1000 || /[\p{Cc}\\]/u.test(path) || /^[A-Za-z]:/.test(path)) return false;
  return path.split("/").every((one) => one !== "" && one.length <= 255 && !/^(\.\.?|\.git)$/i.test(one));
}

/** "/api/models/org/name" */
export function apiPath({ type, name }: RepoId): string {
  return `/api/${plurals[type]}/${name}`;
}

/** "/org/name", "/datasets/org/name": pages, files and LFS of a repository are below it. */
export function webPath({ type, name }: RepoId): string {
  return type === "model" ? `/${name}` : `/${plurals[type]}/${name}`;
}

/** Where a file's bytes are: a revision and a path become part of a URL here only. */
export function resolveUrl(endpoint: string, repo: RepoId, revision: string, path: string): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}${webPath(repo)}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

/** "models--org--name": a repository's folder in the cache. */
export function cacheFolderName({ type, name }: RepoId): string {
  return [plurals[type], ...name.split("/")].join("--");
}
