/** The digests by which the Hub names a file's content: git's sha1 of a small one, sha256 of one in LFS. */
import { withFile } from "../base/bytes.ts";
import { VeneError } from "../base/errors.ts";
import { hasher, type RepoFile } from "./digests.ts";
import { isSafePath } from "./repo-id.ts";

/** One file to push: its bytes, or where they are on disk. */
export interface PushFile {
  /** In the repository. */
  readonly path: string;
  readonly content: Uint8Array | { readonly file: string };
  /** What the content must be, where that was declared elsewhere. */
  readonly sha256?: string;
}

export interface ContentDigests {
  readonly size: number;
  /** Undefined for files so large that a Hub keeps them in LFS, by their sha256. */
  readonly gitSha1: string | undefined;
  readonly sha256: string;
}

const CHUNK = 1 << 20;
/** The Hub takes at most 10 MB outside LFS; other servers may take some more. */
const MOST_OUTSIDE_LFS = 64 << 20;

/** Digests of all files. Throws `file-unreadable` for one that is not what was declared, and what reading throws. */
export async function allDigests(files: readonly PushFile[]): Promise<Map<string, ContentDigests>> {
  const digests = new Map<string, ContentDigests>();
  for (const file of files) {
    if (!isSafePath(file.path) || digests.has(file.path)) {
      throw new VeneError(
        "hub-usage",
        `${JSON.stringify(file.path)} cannot be pushed: its path is unsafe or given twice`,
      );
    }
    const found = await digestsOf(file);
    if (file.sha256 !== undefined && file.sha256 !== found.sha256) {
      throw new VeneError("file-unreadable", `${file.path} has the sha256 ${found.sha256}, expected ${file.sha256}`, {
        hint: "it changed while it was read: push again",
        details: { path: file.path, found: found.sha256, expected: file.sha256 },
      });
    }
    digests.set(file.path, found);
  }
  return digests;
}

/** Reads the content once. Throws `file-missing`, `file-unreadable` (also where the file changes while it is read). */
async function digestsOf({ content }: PushFile): Promise<ContentDigests> {
  if (content instanceof Uint8Array) {
    const digests = hashers(content.length);
    digests.add(content);
    return digests.end();
  }
  return withFile(content.file, async (source) => {
    const digests = hashers(source.size);
    for (let at = 0; at < source.size; at += CHUNK) {
      digests.add(await source.read(at, Math.min(at + CHUNK, source.size)));
    }
    return digests.end();
  });
}

function hashers(size: number) {
  const sha256 = hasher({ algorithm: "sha256" }, size);
  const gitSha1 = size > MOST_OUTSIDE_LFS ? undefined : hasher({ algorithm: "git-sha1" }, size);
  return {
    add(bytes: Uint8Array) {
      sha256.update(bytes);
      gitSha1?.update(bytes);
    },
    end(): ContentDigests {
      return { size, gitSha1: gitSha1?.digest("hex"), sha256: sha256.digest("hex") };
    },
  };
}

/** Whether the Hub has exactly this content. */
export function isSame(file: RepoFile | undefined, { size, ...digests }: ContentDigests): boolean {
  if (file?.size !== size) return false;
  return file.digest.hex === (file.digest.algorithm === "sha256" ? digests.sha256 : digests.gitSha1);
}

/** Throws `hub-integrity` for the first file that is not on the Hub as it was sent. */
export function checkSame(
  files: ReadonlyMap<string, RepoFile>,
  sent: ReadonlyMap<string, ContentDigests>,
  at: string,
): void {
  for (const [path, digests] of sent) {
    const file = files.get(path);
    if (isSame(file, digests)) continue;
    const found =
      file === undefined ? "is not there" : `has ${file.size} bytes, ${file.digest.algorithm} ${file.digest.hex}`;
    const { size, sha256, gitSha1 } = digests;
    throw new VeneError(
      "hub-integrity",
      `${path} ${found} at ${at}; sent were ${size} bytes, sha256 ${sha256}, git-sha1 ${gitSha1 ?? "not computed"}`,
      {
        hint: "the file changed while it was pushed, or the Hub damaged it: push again",
        details: { path, found: file?.digest.hex, expected: digests },
      },
    );
  }
}
