/** Where the files of a release can come from. Whatever a source gives, its bytes are held to the release. */
import type { FileHandle } from "node:fs/promises";
import type { HubEnvironment } from "../hub/environment.ts";
import { parseRepoId, resolveUrl } from "../hub/repo-id.ts";
import { type Source, sourceSchema } from "../spec/registry-index.ts";
import type { ReleaseFile } from "../spec/registry-release.ts";
import { blobPath } from "./names.ts";
import { copyUrl } from "./remote-snapshot.ts";
import type { CopyOptions, Snapshot } from "./store.ts";

export interface SourcePlace {
  readonly snapshot: Snapshot;
  readonly environment: HubEnvironment;
}

/** Writes one file of a release; false where the source does not have it. */
export type Fetch = (file: ReleaseFile, handle: FileHandle, options: CopyOptions) => Promise<boolean>;

export interface OpenedSource {
  /** As people read it, and as lockfiles have it. */
  readonly name: string;
  readonly fetch: Fetch;
}

type Of<T extends Source["type"]> = Extract<Source, { readonly type: T }>;

const kinds = {
  blob: (_, { snapshot }) => ({
    name: "blob",
    fetch: ({ size, sha256 }, handle, options) =>
      snapshot.copy({ path: blobPath(sha256), size, sha256 }, handle, options),
  }),
  hf: ({ repo, revision }, { environment }) => {
    const id = parseRepoId(repo);
    return {
      name: `hf:${repo}@${revision}`,
      fetch: (file, handle, options) => {
        const url = resolveUrl(environment.endpoint, id, revision, file.path);
        return copyUrl(environment, url, file, handle, options);
      },
    };
  },
  https: ({ url }, { environment }) => ({
    name: url,
    fetch: (file, handle, options) => {
      const full = url.includes("{sha256}")
        ? url.replaceAll("{sha256}", file.sha256)
        : `${url.replace(/\/+$/, "")}/${encodeURIComponent(file.path)}`;
      // Nobody's token is for it.
      return copyUrl({ ...environment, token: undefined }, full, file, handle, options);
    },
  }),
} as const satisfies { [T in Source["type"]]: (source: Of<T>, place: SourcePlace) => OpenedSource };

/** The sources that this vene knows; those of newer ones are passed over. */
export function openSources(sources: readonly unknown[], place: SourcePlace): OpenedSource[] {
  return sources.flatMap((source) => {
    const known = sourceSchema.safeParse(source);
    if (!known.success) return [];
    const open = kinds[known.data.type] as (source: Source, place: SourcePlace) => OpenedSource;
    return [open(known.data, place)];
  });
}
