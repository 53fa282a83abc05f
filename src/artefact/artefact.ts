/** An artefact in memory: a manifest and the tensors it names. */
import { sha256Of } from "../base/digest.ts";
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { encodeSafetensors } from "../formats/safetensors-encode.ts";
import type { Intervention } from "../spec/intervention.ts";
import { type Manifest, parseManifest, tensorsFileName } from "../spec/manifest.ts";
import { currentFormat } from "../spec/migrations.ts";
import { checkTensors } from "./check.ts";

/** What format 1 stores, whole and checked. */
export interface Artefact {
  readonly manifest: Manifest;
  /** By the names that the manifest's interventions use. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A manifest before its tensors are encoded. */
export type ManifestDraft = Omit<Manifest, "format" | "files">;

/**
 * Completes a draft with the format and the digest of its tensors' file, and checks all of it. Throws `manifest-invalid`,
 * `artefact-tensor` or `tensor-invalid`.
 */
export function makeArtefact(draft: ManifestDraft, tensors: ReadonlyMap<string, Tensor>): Artefact {
  return encodeArtefact(draft, tensors).artefact;
}

/** {@link makeArtefact} together with the bytes of intervention.safetensors. The same artefact gives the same bytes. */
export function encodeArtefact(
  draft: ManifestDraft,
  tensors: ReadonlyMap<string, Tensor>,
): { artefact: Artefact; bytes: Uint8Array } {
  const bytes = encodeSafetensors(tensors);
  const files = { [tensorsFileName]: { sha256: sha256Of(bytes), size: bytes.length } };
  const manifest = parseManifest({ ...draft, format: currentFormat, files }, draft.name);
  checkTensors(manifest, tensors);
  return { artefact: { manifest, tensors }, bytes };
}

/** The tensor that an intervention uses in a role ("source"), or undefined. Throws `artefact-tensor` when it is named but not there. */
export function tensorOf(artefact: Artefact, intervention: Intervention, role: string): Tensor | undefined {
  const names: { readonly [role: string]: string | undefined } = intervention.tensors;
  const name = Object.hasOwn(names, role) ? names[role] : undefined;
  if (name === undefined) return undefined;
  const tensor = artefact.tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new VeneError("artefact-tensor", `${intervention.key} names the tensor ${name}, which is not there`, {
    details: { key: intervention.key, role, name },
  });
}
