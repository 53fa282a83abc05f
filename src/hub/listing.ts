/** Asks a Hub which commit a revision is and which files it has. Nothing of the answer is used before it is checked. */
import { VeneError } from "../base/errors.ts";
import type { JsonValue } from "../formats/json.ts";
import { type HubHeaders, shownUrl } from "./answers.ts";
import { digestOfHex, type ListedFile } from "./digests.ts";
import type { HubEnvironment } from "./environment.ts";
import { apiPath, isCommit, isSafePath, type RepoId } from "./repo-id.ts";
import { hubJson } from "./transport.ts";

/** More than any repository that vene has a use for. */
const MAX_PAGES = 200;
const MAX_FILES = 100_000;

/** The commit a branch, tag, pull request or abbreviated commit stands for. Throws `hub-not-found`, `hub-rejected` and others. */
export async function resolveCommit(
  environment: HubEnvironment,
  repo: RepoId,
  revision: string,
  signal?: AbortSignal,
): Promise<string> {
  const what = `${repo.name}@${revision}`;
  const url = `${apiPath(repo)}/revision/${encodeURIComponent(revision)}`;
  const { value } = await hubJson(environment, { url, what, signal });
  const sha = field(value, "sha");
  if (!isCommit(sha)) throw unusable(what, `the commit ${shown(sha)}`, "40 hex digits");
  return sha;
}

/** Every file at a commit. Throws `hub-not-found`, `hub-rejected` and others. */
export async function listFiles(
  environment: HubEnvironment,
  repo: RepoId,
  commit: string,
  signal?: AbortSignal,
): Promise<readonly ListedFile[]> {
  const what = `the files of ${repo.name}`;
  const files = new Map<string, ListedFile>();
  const visited = new Set<string>();
  let next: string | undefined = `${environment.endpoint}${apiPath(repo)}/tree/${commit}?recursive=true`;
  while (next !== undefined) {
    if (visited.has(next) || visited.size === MAX_PAGES) {
      throw unusable(what, visited.has(next) ? "pages that lead in a circle" : `${MAX_PAGES} pages`, "fewer");
    }
    visited.add(next);
    const page = await hubJson(environment, { url: next, what, signal });
    if (!Array.isArray(page.value)) throw unusable(what, shown(page.value), "a list");
    for (const entry of page.value) addFile(files, entry, what);
    next = nextPage(page.headers, page.url, what);
  }
  return [...files.values()];
}

function addFile(files: Map<string, ListedFile>, entry: JsonValue, what: string): void {
  const path = field(entry, "path");
  if (typeof path !== "string" || !isSafePath(path)) throw unusable(what, `the path ${shown(path)}`, "a relative one");
  if (field(entry, "type") !== "file") return;
  if (files.has(path)) throw unusable(what, `${path} twice`, "each path once");
  if (files.size === MAX_FILES) throw unusable(what, `more than ${MAX_FILES} files`, "fewer");
  const lfs = field(entry, "lfs");
  const size = field(lfs ?? entry, "size");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw unusable(what, `the size ${shown(size)} for ${path}`, "a number of bytes");
  }
  const inLfs = lfs !== undefined && lfs !== null;
  const blobId = field(entry, "oid");
  const hex = inLfs ? field(lfs, "oid") : blobId;
  const digest = typeof hex === "string" ? digestOfHex(hex) : undefined;
  if (!isCommit(blobId) || digest === undefined || (digest.algorithm === "sha256") !== inLfs) {
    throw unusable(what, `the digest ${shown(hex)} for ${path}`, "a sha256 in LFS, else a git blob id");
  }
  files.set(path, { path, size, digest, blobId });
}

/** The next page by its Link header: on the same server, or not at all. */
function nextPage(headers: HubHeaders, from: URL, what: string): string | undefined {
  const link = /<([^>]{1,4000})>\s*;\s*rel="?next"?/.exec(headers["link"] ?? "")?.[1];
  if (link === undefined) return undefined;
  if (!URL.canParse(link, from.href)) throw unusable(what, `the next page ${shown(link)}`, "a URL");
  const url = new URL(link, from);
  if (url.origin !== from.origin) throw unusable(what, `a next page at ${shownUrl(url)}`, `one at ${from.origin}`);
  return url.href;
}

function field(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
    return undefined;
  return value[name];
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 120);
}

function unusable(what: string, found: string, expected: string): VeneError {
  return new VeneError("hub-rejected", `${what}: the Hub answered with ${found}, expected ${expected}`, {
    hint: "check HF_ENDPOINT: a real Hub does not do that",
  });
}
