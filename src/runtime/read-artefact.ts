/** Opens artefacts with onnxruntime at hand, which trained rotations of large models need. */
import { type ReadArtefact, readArtefact as readFolder } from "../artefact/read.ts";
import { withMatrixProduct } from "./matrix-product.ts";

/**
 * Reads the artefact in a folder: format 1 if there is an intervention.json, else whatever pyvene saved. Throws `file-missing`
 * without the folder, `artefact-missing` naming what is there instead, `manifest-invalid`, `format-newer`, `pyvene-config`,
 * `pyvene-class`, `artefact-tensor`, `tensor-invalid` and what reading the files throws.
 */
export function readArtefact(folder: string): Promise<ReadArtefact> {
  return withMatrixProduct((multiply) => readFolder(folder, multiply));
}
