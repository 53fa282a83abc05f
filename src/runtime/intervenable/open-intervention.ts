/** What IntervenableModel.load does before it binds: find the folder, read it, compare its base with the model. */
import type { Artefact } from "../../artefact/artefact.ts";
import { VeneError } from "../../base/errors.ts";
import { type LocateOptions, locateArtefact } from "../../hub/locate.ts";
import type { Model } from "../model.ts";
import { readArtefact } from "../read-artefact.ts";

/** Turns what a user names into a folder: as `locateArtefact`, which knows folders and the Hub. */
export type Locate = (
  source: string,
  options: LocateOptions,
) => Promise<{
  readonly folder: string;
  readonly pulled: { readonly notices: readonly string[]; readonly pinned: string | undefined } | undefined;
}>;

export interface LoadInterventionOptions extends LocateOptions {
  /** Refuse a model with another fingerprint, or an artefact that records none. Default false: a notice is given. */
  readonly strictBase?: boolean;
}

export interface OpenedIntervention {
  readonly artefact: Artefact;
  readonly notices: readonly string[];
  /** "org/name@commit" or the like; undefined for a folder. */
  readonly pinned: string | undefined;
}

/** Throws `base-mismatch` under strictBase, and what locating and reading throw. */
export async function openIntervention(
  source: string,
  model: Model,
  { strictBase, ...locateOptions }: LoadInterventionOptions,
  locate: Locate = locateArtefact,
): Promise<OpenedIntervention> {
  const { folder, pulled } = await locate(source, locateOptions);
  const { artefact, notices: read } = await readArtefact(folder);
  const notices = [...(pulled?.notices ?? []), ...read];
  const { fingerprint, model: made } = artefact.manifest.base;
  const known = fingerprint !== undefined;
  const other = known && fingerprint !== model.fingerprint;
  if (strictBase === true && (other || !known)) {
    const why = known
      ? `was made for ${made ?? "another model"}: other weights or precision`
      : "records no fingerprint of its base";
    throw new VeneError("base-mismatch", `${artefact.manifest.name} ${why}`, {
      hint: "load it without strictBase to accept any model of the same shape",
      details: { expected: fingerprint, found: model.fingerprint },
    });
  }
  const notice = `made for ${made ?? "another model"}; this model has the same shape but other weights or precision`;
  return { artefact, notices: other ? [...notices, notice] : notices, pinned: pulled?.pinned };
}
