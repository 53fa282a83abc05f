/** Which kind an intervention saved by pyvene is of: by its class's name, or else by the tensors in its file. */
import { VeneError } from "../base/errors.ts";
import { type Kind, kindSpecOf } from "../spec/kinds.ts";
import type { PyveneIntervention } from "./pyvene-config.ts";
import { keyFileName, keySpellings } from "./pyvene-keys.ts";
import { kindsOfState, lonelyBias, missingKeys, needsState, type State } from "./pyvene-state.ts";
import { classNameOf, unknownClass } from "./pyvene-values.ts";

export interface Recognised {
  readonly kind: Kind;
  /** What of the file belongs to the kind, under the kind's names; undefined where nothing does. */
  readonly state: State | undefined;
  readonly notice?: string;
}

/**
 * `state`: the file's tensors, if there is a file; `path`: the file, or else the folder. A class that vene does not know is taken
 * for what its tensors are, with a notice. Throws `pyvene-class` where they tell nothing, `artefact-tensor` for what is not there.
 */
export function recognise(
  described: PyveneIntervention,
  index: number,
  state: State | undefined,
  path: string,
): Recognised {
  const { kind } = described;
  if (kind !== undefined && (state === undefined || missingKeys(kind, state).length === 0)) {
    return { kind, state: belonging(described, kind, state, path) };
  }
  const found = state === undefined ? undefined : byTensors(described, index, state);
  if (found !== undefined) return found;
  if (kind === undefined)
    throw unknownClass(described.classText, index, state === undefined ? [] : kindsOfState(state));
  return { kind, state };
}

/** Whether pyvene would not open a file, if there were one. */
export function needsNoFile({ kind, constantSource }: PyveneIntervention): boolean {
  if (kind === undefined || needsState(kind)) return false;
  return kindSpecOf(kind).constantSource === "never" || constantSource === false;
}

/** The state of an intervention of a known kind, without what pyvene ignores. */
function belonging(
  described: PyveneIntervention,
  kind: Kind,
  state: State | undefined,
  path: string,
): State | undefined {
  const { constantSource, keys } = described;
  if (needsNoFile(described)) return undefined;
  if (needsState(kind)) {
    if (state === undefined) throw noFile(`the tensors of ${keys.underscore}, a ${kind},`, keys, path);
    return state;
  }
  if (state?.has("source_representation")) return state;
  if (constantSource === undefined) return undefined;
  if (state === undefined) throw noFile(`the constant source of ${keys.underscore}`, keys, path);
  throw new VeneError("artefact-tensor", `${path} has no tensor source_representation`, { details: { path } });
}

function byTensors({ classText }: PyveneIntervention, index: number, state: State): Recognised | undefined {
  const bias = lonelyBias(state);
  const [kind, other] = bias === undefined ? kindsOfState(state) : (["addition"] as const);
  if (kind === undefined || other !== undefined) return undefined;
  const name = JSON.stringify(classNameOf(classText).slice(0, 80));
  return {
    kind,
    state: bias === undefined ? state : new Map([["source_representation", bias]]),
    notice: `intervention ${index} is of the class ${name}: by its tensors it is read as ${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`,
  };
}

function noFile(what: string, keys: PyveneIntervention["keys"], folder: string): VeneError {
  const tried = keySpellings.map((spelling) => keyFileName(keys[spelling]));
  return new VeneError("artefact-tensor", `${folder} has no file for ${what}`.replace(/,$/, ""), {
    hint: `looked for ${tried.join(", ")}`,
    details: { folder, tried },
  });
}
