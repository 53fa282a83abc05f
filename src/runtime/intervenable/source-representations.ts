/** Values passed in where a source would be run: pyvene's source_representations. */
import { VeneError } from "../../base/errors.ts";
import { Tensor } from "../../base/tensor.ts";
import { constantOf, type Resolved } from "./resolve.ts";

/** By intervention key. [width], or broadcasting over [batch, units, width]; they stand for constant sources, too. */
export type SourceRepresentations = Readonly<Record<string, Tensor | Float32Array | readonly number[]>>;

/** The interventions with these values as their sources. Throws `sources-invalid` for a key that takes none, `base-mismatch`. */
export function withRepresentations(
  resolved: readonly Resolved[],
  given: SourceRepresentations | undefined,
): readonly Resolved[] {
  if (given === undefined) return resolved;
  for (const key of Object.keys(given)) {
    const found = resolved.find(({ entry }) => entry.key === key);
    if (found !== undefined && takesSource(found)) continue;
    const why = found === undefined ? "is not an intervention" : "takes no source";
    throw new VeneError("sources-invalid", `sourceRepresentations: ${key} ${why}`, {
      hint: `keys: ${
        resolved
          .filter(takesSource)
          .map(({ entry }) => entry.key)
          .join(", ") || "none"
      }`,
      details: { key },
    });
  }
  return resolved.map((one) => {
    const values = given[one.entry.key];
    if (values === undefined) return one;
    const tensor = values instanceof Tensor ? values : Tensor.float32([values.length], Float32Array.from(values));
    return { ...one, constant: constantOf(one.entry, tensor, one.place), needsSource: false };
  });
}

function takesSource(resolved: Resolved): boolean {
  if ("bound" in resolved) return resolved.bound.operation.operator.takesSource;
  return resolved.affine.gain !== 0;
}
