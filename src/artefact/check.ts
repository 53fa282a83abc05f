/** Whether an artefact's tensors are the ones its manifest names, of shapes that fit their kinds, and finite. */
import { VeneError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { type Intervention, tensorNames } from "../spec/intervention.ts";
import { kindSpecOf } from "../spec/kinds.ts";
import type { Manifest } from "../spec/manifest.ts";
import { formatSite, hasHiddenWidth } from "../spec/sites.ts";

const floats = ["float32", "float16", "bfloat16", "float64"];

/** Throws `artefact-tensor` for a tensor that is absent, extra or of a wrong shape or dtype, `tensor-invalid` for NaN and infinity. */
export function checkTensors(manifest: Manifest, tensors: ReadonlyMap<string, Tensor>): void {
  const used = new Set<string>();
  for (const intervention of manifest.interventions) {
    const sizes = new Map<string, number>();
    const width = knownWidth(intervention, manifest);
    if (width !== undefined) sizes.set("d", width);
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

function checkTensor(
  intervention: Intervention,
  role: string,
  name: string,
  tensor: Tensor,
  sizes: Map<string, number>,
): void {
  if (!floats.includes(tensor.dtype)) {
    throw fault(intervention, name, `${role} is ${tensor.dtype}, expected one of ${floats.join(", ")}`);
  }
  const symbols = kindSpecOf(intervention.kind).tensors[role]!.shape;
  const disagreement = shapeFault(symbols, tensor.shape, sizes);
  if (disagreement !== undefined) {
    const where = formatSite(intervention.site);
    throw fault(intervention, name, `${role} at ${where} is [${tensor.shape}], expected ${symbols}: ${disagreement}`);
  }
  checkFinite(name, tensor);
}

/** Compares a shape with symbols such as "[..., d]" or "[d, k]"; a letter stands for one size throughout an intervention. */
function shapeFault(symbols: string, shape: readonly number[], sizes: Map<string, number>): string | undefined {
  const wanted = symbols.slice(1, -1).split(", ");
  const open = wanted[0] === "...";
  const named = open ? wanted.slice(1) : wanted;
  if (shape.length < named.length || (!open && shape.length > named.length)) {
    return `${shape.length} dimensions`;
  }
  if (shape.includes(0)) return "it is empty";
  const tail = shape.slice(shape.length - named.length);
  for (const [index, symbol] of named.entries()) {
    const known = sizes.get(symbol) ?? tail[index]!;
    if (known !== tail[index]) return `${symbol} is ${known} here, not ${tail[index]}`;
    sizes.set(symbol, known);
  }
  return undefined;
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
