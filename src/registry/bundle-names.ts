/** Which files a bundle may hold, by name and size, and why not. */
import { MAX_CARD_BYTES } from "../artefact/card-text.ts";
import {
  cardFileName,
  isKeyFile,
  MAX_JSON_BYTES,
  manifestFileName,
  pyveneFileName,
  signatureFileName,
} from "../artefact/folder.ts";
import { tensorsFileName } from "../spec/manifest.ts";
import { MAX_SIGNATURE_BYTES } from "./signing-envelope.ts";

/** Largest file by name; what a tensors file may have is in the manifest. */
const maxBytes: ReadonlyMap<string, number> = new Map([
  [manifestFileName, MAX_JSON_BYTES],
  [tensorsFileName, Number.MAX_SAFE_INTEGER],
  [cardFileName, MAX_CARD_BYTES],
  [pyveneFileName, MAX_JSON_BYTES],
  [signatureFileName, MAX_SIGNATURE_BYTES],
]);

/** Longest name: what file systems take. */
const MAX_NAME = 255;
const device = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
/** Printable ASCII without what some file system reads a meaning into. */
const plain = /^[A-Za-z0-9._#[\]-]+$/;

/** Why a name cannot be that of an artefact's file, or undefined. Safe on every file system, and one that vene reads. */
export function nameFault(name: string): string | undefined {
  if (name === "" || name.length > MAX_NAME) return `a name of ${name.length} characters`;
  if (/^[/\\]|^[A-Za-z]:/.test(name)) return "an absolute path";
  if (name.split(/[/\\]/).includes("..")) return "a path that leads upwards";
  if (/[/\\]/.test(name)) return "a path, and artefacts have no folders";
  if (device.test(name) || /[. ]$/.test(name) || name.includes(":"))
    return "a name that Windows takes for something else";
  if (!plain.test(name)) return "characters that file names of artefacts never have";
  if (!maxBytes.has(name) && !isKeyFile(name)) return "no file of an artefact";
  return undefined;
}

/** Names that some file system takes for the same file have one slot. */
export function nameSlot(name: string): string {
  return name.normalize("NFC").toLowerCase();
}

/** Largest size of a file by its name; pyvene's copies of tensors are held to `tensors`, the size of what they copy. */
export function sizeLimit(name: string, tensors: number): number {
  if (name === tensorsFileName) return tensors;
  return maxBytes.get(name) ?? 4 * tensors + (1 << 20);
}
