/** State dicts of pyvene's and pyreft's classes: which kind one is of, what it says, and how one is made. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import type { Intervention } from "../spec/intervention.ts";
import { type Kind, kindSpecOf, kinds } from "../spec/kinds.ts";
import { type Artefact, tensorOf } from "./artefact.ts";
import { sizesOf } from "./check.ts";
import type { Multiply } from "./matrix.ts";
import { orthogonalWeight } from "./orthogonal.ts";
import { orthogonalState } from "./orthonormal.ts";
import { entriesOf, isTrained, keysOf, layoutOf, type StateEntry } from "./pyvene-layouts.ts";

/** Tensors by pyvene's names, in pyvene's order. */
export type State = ReadonlyMap<string, Tensor>;

const sizeKeys = ["embed_dim", "interchange_dim"];
const isRequired = (entry: StateEntry) => !("optional" in entry || "counts" in entry || "placeholder" in entry);

/** Whether an intervention of the kind is nothing without its file. */
export function needsState(kind: Kind): boolean {
  return entriesOf(kind).some(isRequired);
}

/** Keys that a kind cannot do without and the state dict lacks. */
export function missingKeys(kind: Kind, state: State): string[] {
  return entriesOf(kind)
    .filter(isRequired)
    .flatMap(keysOf)
    .filter((key) => !state.has(key));
}

/** Keys of the state dict that the kind has nothing for. */
export function strangeKeys(kind: Kind, state: State): string[] {
  const known = new Set([...sizeKeys, ...entriesOf(kind).flatMap(keysOf)]);
  return [...state.keys()].filter((key) => !known.has(key));
}

/** Kinds whose state dicts have exactly these keys, and where keys do not tell, this shape; more than one for some of pyreft's. */
export function kindsOfState(state: State): Kind[] {
  const fitting = kinds.filter(
    (kind) => needsState(kind) && missingKeys(kind, state).length + strangeKeys(kind, state).length === 0,
  );
  const [rows, columns] = state.get("rotate_layer.parametrizations.weight.original")?.shape ?? [];
  const shapeSays: { readonly [K in Kind]?: boolean } = {
    "rotated-space": rows === columns,
    "low-rank-rotated-space": rows !== columns,
  };
  return fitting.filter((kind) => shapeSays[kind] ?? true);
}

/** axbench's and EasySteer's BiasIntervention: a vector that is added. Undefined if the state dict is something else. */
export function lonelyBias(state: State): Tensor | undefined {
  const bias = state.get("bias");
  return bias?.shape.length === 1 && [...state.keys()].every((key) => key === "bias" || sizeKeys.includes(key))
    ? bias
    : undefined;
}

export interface StateContents {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly parameters: { readonly [name: string]: number };
  /** interchange_dim; undefined where the file has none (before 0.0.7, and pyreft's LoReFT). */
  readonly interchange: number | number[] | undefined;
}

/**
 * Tensors by role and parameters by name. Rotations are computed as torch would. Throws `artefact-tensor` for what is missing or
 * no scalar where one belongs, and what {@link orthogonalWeight} throws.
 */
export async function readState(kind: Kind, state: State, path: string, multiply?: Multiply): Promise<StateContents> {
  const missing = missingKeys(kind, state);
  if (missing.length > 0) {
    throw new VeneError("artefact-tensor", `${path} has no tensor ${missing.join(", ")}, which a ${kind} needs`, {
      details: { path, kind, missing, found: [...state.keys()].slice(0, 20) },
    });
  }
  const tensors = new Map<string, Tensor>();
  const parameters: { [name: string]: number } = {};
  for (const entry of entriesOf(kind)) {
    if ("orthogonal" in entry) {
      const [original, base] = keysOf(entry).map((key) => state.get(key)!) as [Tensor, Tensor];
      tensors.set(entry.orthogonal, await orthogonalWeight(original, base, multiply));
    } else if ("parameter" in entry) {
      parameters[entry.parameter] = scalarOf(state.get(entry.key)!, entry.key, path);
    } else if ("role" in entry) {
      const tensor = state.get(entry.key);
      if (tensor !== undefined) tensors.set(entry.role, tensor);
    }
  }
  return { tensors, parameters, interchange: interchangeIn(state, path) };
}

function interchangeIn(state: State, path: string): number | number[] | undefined {
  const tensor = state.get("interchange_dim");
  if (tensor === undefined) return undefined;
  return tensor.shape.length === 0 ? scalarOf(tensor, "interchange_dim", path) : tensor.toNumbers();
}

function scalarOf(tensor: Tensor, key: string, path: string): number {
  if (tensor.size === 1) return tensor.toNumbers()[0]!;
  throw new VeneError("artefact-tensor", `${path}: ${key} is [${tensor.shape}], expected one number`, {
    details: { path, key, shape: tensor.shape },
  });
}

/**
 * The state dict of an intervention, or undefined where pyvene needs no file. A factor's strength is multiplied in: pyvene has
 * none. `sized`: whether the release knows embed_dim and interchange_dim (0.0.7 and later do).
 */
export function writeState(artefact: Artefact, intervention: Intervention, sized: boolean): State | undefined {
  const entries = entriesOf(intervention.kind);
  const { own = [], after = [], bare } = layoutOf(intervention.kind) ?? {};
  const hasSource = tensorOf(artefact, intervention, "source") !== undefined;
  if (entries.length === 0 || (!hasSource && entries.every((entry) => "optional" in entry))) return undefined;
  const state = new Map<string, Tensor>();
  const put = (entry: StateEntry) => {
    for (const [key, tensor] of written(artefact, intervention, entry)) state.set(key, tensor);
  };
  own.forEach(put);
  const embed = sized && bare === undefined ? embedOf(artefact, intervention) : undefined;
  if (embed !== undefined) {
    state.set("embed_dim", Tensor.int64([], [embed]));
    const interchange = interchangeOf(artefact, intervention) ?? embed;
    const shape = typeof interchange === "number" ? [] : [interchange.length];
    state.set("interchange_dim", Tensor.int64(shape, [interchange].flat()));
  }
  after.forEach(put);
  return state;
}

function written(artefact: Artefact, intervention: Intervention, entry: StateEntry): [string, Tensor][] {
  if ("placeholder" in entry) return [[entry.key, Tensor.float32([0], [])]];
  if ("parameter" in entry) {
    const value = (intervention.parameters as { readonly [name: string]: unknown })[entry.parameter];
    return [[entry.key, Tensor.float32([], [value as number])]];
  }
  if ("counts" in entry) {
    const size = sizesOf(intervention, artefact.tensors).get("n")!;
    return [[entry.key, Tensor.int64([size], [...new Array(size).keys()])]];
  }
  const tensor = tensorOf(artefact, intervention, "orthogonal" in entry ? entry.orthogonal : entry.role);
  if (tensor === undefined) return [];
  if ("orthogonal" in entry) {
    const { original, base } = orthogonalState(tensor);
    const [originalKey, baseKey] = keysOf(entry) as [string, string];
    return [
      [originalKey, original],
      [baseKey, base],
    ];
  }
  const { kind, strength } = intervention;
  return [[entry.key, scaled(tensor, kindSpecOf(kind).strength === "factor" ? strength.default : 1)]];
}

/** The tensor times a factor, in its own dtype (float64 becomes float32). */
function scaled(tensor: Tensor, factor: number): Tensor {
  if (factor === 1) return tensor;
  const values = tensor.toFloat32().map((value) => value * factor);
  const product = Tensor.float32(tensor.shape, values);
  return tensor.dtype === "float16" || tensor.dtype === "bfloat16" ? product.to(tensor.dtype) : product;
}

/**
 * embed_dim: the width of a unit times max_number_of_units, whether or not the class takes units together. Undefined at module
 * paths, where pyvene knows no width, and where no tensor tells.
 */
export function embedOf({ tensors }: Artefact, intervention: Intervention): number | undefined {
  if (!("layer" in intervention.site)) return undefined;
  const width = sizesOf(intervention, tensors).get("d");
  return width === undefined ? undefined : width * intervention.maxUnits;
}

/**
 * What pyvene calls interchange_dim; undefined where it is the whole of what there is. Throws nothing: what pyvene cannot say is
 * refused before (see pyvene-fit.ts).
 */
export function interchangeOf({ tensors }: Artefact, intervention: Intervention): number | number[] | undefined {
  const { kind, dimension } = intervention;
  const { interchange } = layoutOf(kind)!;
  const features = kindSpecOf(kind).features;
  const all = features === undefined ? undefined : sizesOf(intervention, tensors).get(features);
  if (interchange === "unused" || (dimension === null && interchange === "prefix")) {
    return isTrained(kind) && interchange === "prefix" ? all : undefined;
  }
  if (interchange === "prefix") return dimension as number;
  const chosen = Array.isArray(dimension) ? dimension : [...new Array(Math.min(dimension ?? all!, all!)).keys()];
  return chosen.length === 1 ? chosen[0]! : chosen;
}

/** What interchange_dim of a file or a config means here: features or latents acted on. */
export function dimensionOf(kind: Kind, interchange: number | number[] | null): Intervention["dimension"] {
  const use = layoutOf(kind)?.interchange;
  if (use === "unused" || interchange === null) return null;
  return use === "index" ? [interchange].flat() : interchange;
}
