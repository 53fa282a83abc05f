/** Which of an artefact's tensors training changes. */
import type { Artefact } from "../../artefact/artefact.ts";
import type { Tensor } from "../../base/tensor.ts";
import { tensorNames } from "../../spec/intervention.ts";
import { kindSpecOf } from "../../spec/kinds.ts";

/** By name, in order; a tensor that several interventions share is there once. All tensors of a user's own kind are trainable. */
export function trainableTensors({ manifest, tensors }: Artefact): ReadonlyMap<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const intervention of manifest.interventions) {
    const { trainable, openTensors } = kindSpecOf(intervention.kind);
    for (const [role, name] of tensorNames(intervention)) {
      const counts = openTensors === true ? role !== "source" : trainable.includes(role);
      if (counts) found.set(name, tensors.get(name)!);
    }
  }
  return found;
}
