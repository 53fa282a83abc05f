/** Interventions that are named by where they are: a repository at a commit, a folder, a bundle on a web server. */
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../base/atomic.ts";
import { VeneError } from "../base/errors.ts";
import type { LocateOptions } from "../hub/locate.ts";
import { type Pulled, pull } from "../hub/pull.ts";
import { parseRepoRef } from "../hub/repo-id.ts";
import { artefactSelection, type Selection } from "../hub/selection.ts";
import { hubRequest } from "../hub/transport.ts";
import { artefactFileDigests } from "./artefact-files.ts";
import { unpackBundle } from "./bundle-unpack.ts";
import type { Reference } from "./reference.ts";
import type { Registries } from "./registries.ts";
import { copyUrl } from "./remote-snapshot.ts";

export interface Direct {
  readonly folder: string;
  /** The same source, naming the same bytes for ever where it can. */
  readonly pinned: string;
  readonly notices: readonly string[];
}

type Of<F extends Reference["form"]> = Extract<Reference, { readonly form: F }>;
export type DirectReference = Exclude<Reference, { readonly form: "name" }>;

const forms = {
  hf: pullDirect,
  file: async ({ path }) => {
    const status = await stat(path).catch(() => undefined);
    if (status?.isDirectory() === true) return { folder: path, pinned: `file:${path}`, notices: [] };
    throw new VeneError("file-missing", `there is no folder ${path}`, { details: { path } });
  },
  https: unpackDirect,
} as const satisfies {
  [F in DirectReference["form"]]: (reference: Of<F>, registries: Registries, options: LocateOptions) => Promise<Direct>;
};

/** Throws `hub-*`, `file-missing`, `bundle-invalid`, `artefact-missing` and what reading the artefact throws. */
export function locateDirect(
  reference: DirectReference,
  registries: Registries,
  options: LocateOptions,
): Promise<Direct> {
  const one = forms[reference.form] as (
    reference: DirectReference,
    registries: Registries,
    options: LocateOptions,
  ) => Promise<Direct>;
  return one(reference, registries, options);
}

/** The files of an artefact's folder as lockfiles have them. */
export async function filesOf(folder: string): Promise<{ path: string; sha256: string }[]> {
  const { files } = await artefactFileDigests(folder);
  return files.map(({ name, sha256 }) => ({ path: name, sha256 }));
}

async function pullDirect(
  { repo: text, folder }: Of<"hf">,
  { environment }: Registries,
  { signal, onProgress, revision: asked, verify }: LocateOptions,
): Promise<Direct> {
  const { repo, revision } = parseRepoRef(text);
  const selection = folder === undefined ? artefactSelection : within(folder);
  const pulled: Pulled = await pull(environment, repo, selection, {
    revision: revision ?? asked,
    signal,
    onProgress,
    verify,
  });
  const inside = folder === undefined ? "" : `#${folder}`;
  return {
    folder: folder === undefined ? pulled.folder : join(pulled.folder, folder),
    pinned: `hf:${pulled.pinned}${inside}`,
    notices: pulled.notices,
  };
}

/** The artefact in a folder of a repository. */
function within(folder: string): Selection {
  const prefix = `${folder}/`;
  return (paths, name) => {
    const inside = paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
    return artefactSelection(inside, `${name}#${folder}`).map((path) => prefix + path);
  };
}

const MAX_BUNDLE_BYTES = 2 ** 36;

/** A bundle is unpacked once: its digest names the folder. */
async function unpackDirect(
  { url, sha256 }: Of<"https">,
  { environment, cacheFolder, signal }: Registries,
  { onProgress }: LocateOptions,
): Promise<Direct> {
  const folder = join(cacheFolder, "registry", "bundles", sha256);
  const pinned = `${url}#sha256:${sha256}`;
  if ((await stat(folder).catch(() => undefined))?.isDirectory() === true) return { folder, pinned, notices: [] };
  const place = { ...environment, token: undefined };
  const temporary = await mkdtemp(join(tmpdir(), "vene-bundle-"));
  try {
    const size = await lengthOf(place, url, signal);
    const file = join(temporary, "bundle.tgz");
    const handle = await open(file, "wx");
    try {
      let done = 0;
      const onBytes = (count: number) => {
        done += count;
        onProgress?.({ phase: "fetching the bundle", done, total: size, unit: "bytes" });
      };
      const wanted = { path: url, size, sha256 };
      if (!(await copyUrl(place, url, wanted, handle, { signal, onBytes }))) throw gone(url);
    } finally {
      await handle.close();
    }
    await makeFolder(join(folder, ".."));
    await unpackBundle(file, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return { folder, pinned, notices: [] };
}

async function lengthOf(
  environment: Registries["environment"],
  url: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const answer = await hubRequest(environment, { method: "HEAD", url, what: url, accept: [404, 410, 451], signal });
  answer.body.destroy();
  const text = answer.headers["content-length"] ?? "";
  const size = Number(text);
  if (answer.status !== 200) throw gone(url);
  if (/^\d{1,15}$/.test(text) && size <= MAX_BUNDLE_BYTES) return size;
  throw new VeneError("hub-rejected", `${url} has the length ${JSON.stringify(text)}`, { details: { url } });
}

function gone(url: string): VeneError {
  return new VeneError("registry-missing", `there is nothing at ${url}`, { details: { url } });
}
