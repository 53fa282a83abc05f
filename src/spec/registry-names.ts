/** What registries call things: namespaces and names, versions, aliases, digests and files. */
import { z } from "zod";

/** Windows keeps these for devices, with any ending. */
const noDevice = "(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[./]|$))";
const part = `${noDevice}[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?`;

/** "namespace/name": lower case, so that names are the same on every disk. */
export const releaseNameSchema = z
  .string()
  .regex(new RegExp(`^(?!.*(?:--|\\.\\.))${part}/${part}$`))
  .meta({ description: "namespace/name in lower case", examples: ["vene/honest-truthful-tiny"] });

/** The half of a name before the slash. */
export const namespaceSchema = z.string().regex(new RegExp(`^(?!.*(?:--|\\.\\.))${part}$`));

const number = "(?:0|[1-9][0-9]{0,8})";
const identifier = `(?:${number}|[0-9]{0,30}[A-Za-z-][0-9A-Za-z-]{0,60})`;

/** Semantic Versioning 2.0.0 without build metadata, which would give two names to one version. */
export const versionSchema = z
  .string()
  .regex(new RegExp(`^${number}\\.${number}\\.${number}(?:-${identifier}(?:\\.${identifier}){0,9})?$`))
  .meta({ description: "semantic version", examples: ["1.2.0", "2.0.0-beta.1"] });

/** A mutable pointer's name; "x" and the like are ranges. */
export const aliasSchema = z
  .string()
  .regex(/^(?!x$)[a-z][a-z0-9-]{0,31}$/)
  .meta({ description: "name of a mutable pointer to a version", examples: ["latest"] });

export const digestSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/)
  .meta({ description: "sha256 of the exact bytes" });

/** When something happened, in UTC. */
export const timeSchema = z
  .string()
  .regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z$/)
  .meta({ examples: ["2026-11-23T06:00:00Z"] });

/** A file of a release: no folders, nothing hidden; pyvene's file names have brackets and hashes. */
export const fileNameSchema = z.string().regex(/^[A-Za-z0-9_](?:[A-Za-z0-9._#[\]-]{0,228}[A-Za-z0-9_])?$/);

/** "sha256:" and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;
