/** From an artefact's folder to the release manifest and the line of the index that describe it. */

import { cardFileName, manifestFileName, signatureFileName } from "../artefact/folder.ts";
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import type { Intervention, Strength } from "../spec/intervention.ts";
import { type Manifest, tensorsFileName } from "../spec/manifest.ts";
import type { IndexLine, Source } from "../spec/registry-index.ts";
import type { Digest } from "../spec/registry-names.ts";
import { type FileRole, type Release, releaseSchema } from "../spec/registry-release.ts";
import { formatSite } from "../spec/sites.ts";
import { artefactFileDigests } from "./artefact-files.ts";
import { checkContent } from "./bundle-content.ts";
import { documentBytes, parseDocument } from "./documents.ts";
import { checkName, checkVersion } from "./names.ts";

export interface ReleaseNaming {
  readonly name: string;
  readonly version: string;
  readonly tags?: readonly string[] | undefined;
}

export interface MadeRelease {
  readonly release: Release;
  /** Exact bytes, and their digest. */
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

const roles: Readonly<Record<string, FileRole>> = {
  [manifestFileName]: "manifest",
  [tensorsFileName]: "tensors",
  [cardFileName]: "card",
  [signatureFileName]: "signature",
};

/**
 * Describes the artefact in a folder, which is read in full and checked. The same folder, name, version and tags give the same
 * digest. Throws `registry-usage`, `bundle-invalid` and what reading the artefact throws.
 */
export async function makeRelease(folder: string, { name, version, tags = [] }: ReleaseNaming): Promise<MadeRelease> {
  checkName(name);
  checkVersion(version);
  const { files } = await artefactFileDigests(folder);
  const manifest = await checkContent(folder, files);
  const draft: Release = {
    release: 1,
    name,
    version,
    summary: manifest.summary,
    license: manifest.license,
    tags: [...new Set(tags)].sort(),
    base: manifest.base,
    kinds: distinct(manifest.interventions.map(({ kind }) => kind)),
    ...commonStrength(manifest),
    sites: distinct(manifest.interventions.map(({ site }) => formatSite(site))),
    ...(manifest.provenance === undefined ? {} : { provenance: manifest.provenance }),
    ...(manifest.evaluation === undefined ? {} : { evaluation: manifest.evaluation }),
    files: files.map((file) => {
      return { path: file.name, size: file.size, sha256: file.sha256, role: roles[file.name] ?? "pyvene" };
    }),
  };
  const bytes = documentBytes(draft);
  return { release: checked(bytes, folder), bytes, digest: `sha256:${sha256Of(bytes)}` };
}

/** Tags and the number of files have bounds that an artefact knows nothing of. */
function checked(bytes: Uint8Array, folder: string): Release {
  try {
    return parseDocument(releaseSchema, bytes, folder);
  } catch (cause) {
    if (!(cause instanceof VeneError)) throw cause;
    throw new VeneError("registry-usage", `it cannot be published: ${cause.message}`, {
      details: cause.details,
      cause,
    });
  }
}

export interface LineAbout {
  readonly sources: readonly Source[];
  readonly published: string;
  readonly by: string | undefined;
}

/** The line of the index; its keys are in the order that readers expect. */
export function lineOf({ release, bytes, digest }: MadeRelease, { sources, published, by }: LineAbout): IndexLine {
  const { name, version, summary, license, tags, base, kinds, strength, sites, provenance, files } = release;
  return {
    v: 1,
    name,
    version,
    digest,
    size: bytes.length,
    kinds,
    base,
    components: distinct(sites.map(componentOf)),
    ...(strength === undefined ? {} : { strength }),
    ...(provenance?.method === undefined ? {} : { method: provenance.method }),
    license,
    summary,
    tags,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    sources: [...sources],
    published,
    ...(by === undefined ? {} : { by }),
    deprecated: null,
    yanked: null,
  };
}

/** "layer 14 block_output unit h" -> "block_output"; modules and values without the numbers of their layers. */
function componentOf(site: string): string {
  return site
    .replace(/^layer \d+ /, "")
    .replace(/ unit \S+$/, "")
    .replace(/\[\d+\]/g, "[]");
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}

function commonStrength({ interventions }: Manifest): { strength?: Strength } {
  const [first, ...others] = interventions.map(({ strength }: Intervention) => strength);
  const same = others.every((one) => JSON.stringify(one) === JSON.stringify(first));
  return same && first !== undefined ? { strength: first } : {};
}
