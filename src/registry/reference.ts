/** What users write to name an intervention: a registry's name with a selector, or one of the direct forms. */
import { VeneError } from "../base/errors.ts";
import { aliasSchema, type Digest, namespaceSchema, releaseNameSchema, versionSchema } from "../spec/registry-names.ts";
import { isDigest } from "./names.ts";
import { parseRange, type Range } from "./semver.ts";

export type Selector =
  | { readonly kind: "digest"; readonly digest: Digest }
  | { readonly kind: "version"; readonly version: string }
  | { readonly kind: "alias"; readonly alias: string }
  | { readonly kind: "range"; readonly range: Range; readonly text: string }
  | { readonly kind: "newest" };

/** "[registry:][namespace/]name[@selector]" */
export interface NameReference {
  readonly form: "name";
  /** Of one registry; undefined where any may answer. */
  readonly registry: string | undefined;
  /** With a slash, or bare: then the registry's own namespace is meant. */
  readonly name: string;
  readonly selector: Selector;
  /** Whether the spelling says that it cannot be a Hub id. */
  readonly explicit: boolean;
}

export type Reference =
  | NameReference
  | { readonly form: "hf"; readonly repo: string; readonly folder: string | undefined }
  | { readonly form: "file"; readonly path: string }
  | { readonly form: "https"; readonly url: string; readonly sha256: string };

const prefixes = ["hf", "file", "https", "http", "registry"];

/** Reads any spelling. Throws `registry-usage`. */
export function parseReference(text: string): Reference {
  const reference = typeof text === "string" && text.length <= 2200 ? readReference(text) : undefined;
  if (reference !== undefined) return reference;
  throw new VeneError("registry-usage", `${JSON.stringify(text)} names no intervention`, {
    hint: 'write "namespace/name", "name@^1.2", "name@stable", "hf:org/repo@revision", "file:folder" or "https://...#sha256:..."',
    details: { text },
  });
}

/** Whether a text can name something in a registry. */
export function looksLikeName(text: string): boolean {
  return typeof text === "string" && text.length <= 2200 && readReference(text)?.form === "name";
}

function readReference(text: string): Reference | undefined {
  if (text.startsWith("hf:")) return hubReference(text.slice(3));
  if (text.startsWith("file:")) return fileReference(text.slice(5));
  if (/^https?:\/\//.test(text)) return webReference(text);
  const [, registry, name, rest] = /^(?:([a-z0-9._-]{1,64}):)?([^@:]{1,129})(?:@(.*))?$/s.exec(text) ?? [];
  if (name === undefined || !isName(name)) return undefined;
  if (registry !== undefined && registry !== "registry" && !isRegistryName(registry)) return undefined;
  const selector = rest === undefined ? ({ kind: "newest" } as const) : parseSelector(rest);
  if (selector === undefined) return undefined;
  const explicit = registry !== undefined;
  return { form: "name", registry: registry === "registry" ? undefined : registry, name, selector, explicit };
}

function isName(name: string): boolean {
  return (name.includes("/") ? releaseNameSchema : namespaceSchema).safeParse(name).success;
}

/** What a registry may be called: no word that means something else in front of a colon. */
export function isRegistryName(name: string): boolean {
  return namespaceSchema.safeParse(name).success && name.length > 1 && !prefixes.includes(name);
}

/** What follows the "@", by form alone: a digest, an exact version, an alias, a range, in this order. Undefined for none of them. */
export function parseSelector(text: string): Selector | undefined {
  if (isDigest(text)) return { kind: "digest", digest: text };
  if (versionSchema.safeParse(text).success) return { kind: "version", version: text };
  if (aliasSchema.safeParse(text).success) return { kind: "alias", alias: text };
  const range = parseRange(text);
  return range === undefined ? undefined : { kind: "range", range, text };
}

function hubReference(rest: string): Reference | undefined {
  const [, repo, folder] = /^([^#]{1,400})(?:#(.*))?$/s.exec(rest) ?? [];
  if (repo === undefined) return undefined;
  if (folder !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(folder)) {
    return undefined;
  }
  return { form: "hf", repo, folder };
}

/** "file:folder" and "file:///folder". */
function fileReference(rest: string): Reference | undefined {
  const path = rest.startsWith("///") ? rest.slice(2) : rest;
  return path === "" || path.startsWith("//") || path.includes("\0") ? undefined : { form: "file", path };
}

/** The digest is not optional: a web server may answer something else tomorrow. */
function webReference(text: string): Reference | undefined {
  const [url = "", fragment = "", ...more] = text.split("#");
  if (more.length > 0 || !isDigest(fragment) || !URL.canParse(url)) return undefined;
  const { username, password } = new URL(url);
  return username === "" && password === "" ? { form: "https", url, sha256: fragment.slice(7) } : undefined;
}
