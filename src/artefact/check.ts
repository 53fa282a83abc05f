/** Whether an artefact's tensors are the ones its manifest names, of shapes that fit their kinds, and finite. */
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { type Intervention, tensorNames } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import type { Manifest } from "../spec/manifest.ts";
import { formatSite, hasHiddenWidth } from "../spec/sites.ts";
import { orthonormalityError } from "./orthonormal.ts";

const floats = ["float32", "float16", "bfloat16", "float64"];

/** Throws `artefact-tensor` for a tensor that is absent, extra or of a wrong shape or dtype, `tensor-invalid` for NaN and infinity. */
export function checkTensors(manifest: Manifest, tensors: ReadonlyMap<string, Tensor>): void {
  const used = new Set<string>();
  for (const intervention of manifest.interventions) {
    const sizes = new Sizes(intervention);
    const width = knownWidth(intervention, manifest);
    if (width !== undefined) sizes.bind("d", width);
    for (const [role, name] of tensorNames(intervention)) {
      const tensor = tensors.get(name);
      if (tensor === undefined) {
        throw fault(intervention, name, `the manifest names it as ${role}, but there is no such tensor`);
      }
      checkTensor(intervention, role, name, tensor, sizes);
      used.add(name);
    }
  }
  for (const name of tensors.keys()) {
    if (used.has(name)) continue;
    throw new VeneError("artefact-tensor", `the tensor ${name} is there, but no intervention names it`, {
      details: { name },
    });
  }
}

/** The width of the site where nothing but the hidden size is possible. */
function knownWidth(intervention: Intervention, manifest: Manifest): number | undefined {
  const { site } = intervention;
  if (manifest.base.hiddenSize === null || site.unit === "h" || site.unit === "h.pos") return undefined;
  return hasHiddenWidth(site) ? manifest.base.hiddenSize : undefined;
}

/** The sizes that an intervention's symbols stand for (see TensorRole), as far as its tensors have told. */
class Sizes {
  readonly #sizes = new Map<string, number>();
  readonly #units: number;

  constructor({ kind, maxUnits }: Intervention) {
    this.#units = kindSpecOf(kind).units === "together" ? maxUnits : 1;
  }

  get(symbol: string): number | undefined {
    return this.#sizes.get(symbol);
  }

  /** Gives a symbol its size, or says why that cannot be. */
  bind(symbol: string, size: number): string | undefined {
    if (symbol === "1") return size === 1 ? undefined : `${size} values`;
    const known = this.#sizes.get(symbol);
    if (known !== undefined) return known === size ? undefined : `${symbol} is ${known} here, not ${size}`;
    if (symbol === "n" && size % this.#units !== 0) return `n is ${size}, no multiple of ${this.#units} units`;
    this.#sizes.set(symbol, size);
    if (symbol === "d") this.#sizes.set("n", size * this.#units);
    if (symbol === "n") this.#sizes.set("d", size / this.#units);
    return undefined;
  }
}

/** The sizes that an intervention's tensors give the symbols of its kind; a symbol that no tensor has is undefined. */
export function sizesOf(
  intervention: Intervention,
  tensors: ReadonlyMap<string, Tensor>,
): { get(symbol: string): number | undefined } {
  const sizes = new Sizes(intervention);
  for (const [role, name] of tensorNames(intervention)) {
    const shape = kindSpecOf(intervention.kind).tensors[role]?.shape;
    if (shape !== undefined) shapeFault(shape, tensors.get(name)!.shape, sizes);
  }
  return sizes;
}

function checkTensor(intervention: Intervention, role: string, name: string, tensor: Tensor, sizes: Sizes): void {
  if (!floats.includes(tensor.dtype)) {
    throw fault(intervention, name, `${role} is ${tensor.dtype}, expected one of ${floats.join(", ")}`);
  }
  // A role that the kind leaves open has any shape.
  const symbols = kindSpecOf(intervention.kind).tensors[role]?.shape ?? "[...]";
  const [rows = 0, columns = 0] = tensor.shape;
  const wide = role === "rotation" && columns > rows ? "more columns than rows" : undefined;
  const disagreement = shapeFault(symbols, tensor.shape, sizes) ?? wide;
  if (disagreement !== undefined) {
    const where = formatSite(intervention.site);
    throw fault(intervention, name, `${role} at ${where} is [${tensor.shape}], expected ${symbols}: ${disagreement}`);
  }
  checkFinite(name, tensor);
}

/** Compares a shape with symbols such as "[..., d]" or "[d, r]"; a letter stands for one size throughout an intervention. */
function shapeFault(symbols: string, shape: readonly number[], sizes: Sizes): string | undefined {
  const wanted = symbols.slice(1, -1).split(", ");
  const open = wanted[0] === "...";
  const named = open ? wanted.slice(1) : wanted;
  if (shape.length < named.length || (!open && shape.length > named.length)) {
    return `${shape.length} dimensions`;
  }
  if (shape.includes(0)) return "it is empty";
  const tail = shape.slice(shape.length - named.length);
  for (const [index, symbol] of named.entries()) {
    const disagreement = sizes.bind(symbol, tail[index]!);
    if (disagreement !== undefined) return disagreement;
  }
  return undefined;
}

/** Farther from orthonormal than this, rotating there and back changes what should stay. */
const ORTHONORMAL_WITHIN = 1e-3;

/** A sentence for each rotation whose columns are not orthonormal; pyvene computes with such just as well. */
export function rotationNotices(manifest: Manifest, tensors: ReadonlyMap<string, Tensor>): string[] {
  const names = new Map(
    manifest.interventions.flatMap((intervention) =>
      tensorNames(intervention).flatMap(([role, name]) => (role === "rotation" ? [[name, intervention.key]] : [])),
    ) as [string, string][],
  );
  return [...names].flatMap(([name, key]) => {
    const error = orthonormalityError(tensors.get(name)!);
    if (error <= ORTHONORMAL_WITHIN) return [];
    return [
      `${key}: the columns of its rotation are off from orthonormal by ${error.toPrecision(2)}; training has let them decay`,
    ];
  });
}

/** Throws `tensor-invalid` naming the first value that is NaN or infinite (as float32). */
export function checkFinite(name: string, tensor: Tensor): void {
  const values = tensor.toFloat32();
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at === -1) return;
  throw new VeneError("tensor-invalid", `the tensor ${name} has ${values[at]} at index ${at} of ${values.length}`, {
    hint: "an intervention's numbers must be finite; make it again",
    details: { name, index: at, value: values[at] },
  });
}

function fault(intervention: Intervention, name: string, what: string): VeneError {
  return new VeneError("artefact-tensor", `${intervention.key}, tensor ${name}: ${what}`, {
    details: { key: intervention.key, name },
  });
}
