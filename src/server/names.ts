/** What repositories, branches and files may be called. */

const repoPart = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;

/** First segments of the server's own paths. */
const reserved = new Set([
  "_cas",
  "api",
  "models",
  "datasets",
  "spaces",
  "static",
  "new",
  "settings",
  "login",
  "logout",
  "join",
]);

/** The Hub's rule: letters, digits, `-`, `_`, `.`; at most 96; no `-` or `.` at either end; no `--`, `..`, `.git`. */
export function isRepoPart(name: string): boolean {
  return (repoPart.test(name) || /^_[A-Za-z0-9._-]{0,94}$/.test(name)) && !/--|\.\.|\.git$|\.ipynb$|[-.]$/.test(name);
}

export function isNamespace(name: string): boolean {
  return isRepoPart(name) && !reserved.has(name.toLowerCase());
}

/** git's rules for a branch or tag, a little narrower: no spaces, quotes or control characters, at most 200 characters. */
export function isRefName(name: string): boolean {
  return (
    /^[A-Za-z0-9._/+@=,-]{1,200}$/.test(name) &&
    !/(^|\/)[.-]|\.(\/|$)|\.\.|\/\/|^\/|\/$|@\{|\.lock(\/|$)|^@$/.test(name) &&
    !/^(HEAD|refs(\/.*)?|[0-9a-f]{40})$/.test(name)
  );
}

const windowsDevice = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** A path that is safe to check out on any system: relative, forward slashes, no `..`, no `.git`, no control characters. */
export function isFilePath(path: string): boolean {
  if (path.length === 0 || Buffer.byteLength(path) > 1024 || /\p{Surrogate}/u.test(path)) return false;
  const segments = path.split("/");
  return segments.length <= 64 && segments.every(isPathSegment);
}

function isPathSegment(segment: string): boolean {
  return (
    segment.length > 0 &&
    Buffer.byteLength(segment) <= 255 &&
    segment !== "." &&
    segment !== ".." &&
    segment.toLowerCase() !== ".git" &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is refused
    !/[\\\x00-\x1f\x7f]/.test(segment) &&
    !/^[A-Za-z]:/.test(segment) &&
    !windowsDevice.test(segment) &&
    !/[. ]$/.test(segment)
  );
}

const SHA1 = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

export function isGitOid(text: unknown): text is string {
  return typeof text === "string" && SHA1.test(text);
}

export function isSha256(text: unknown): text is string {
  return typeof text === "string" && SHA256.test(text);
}
