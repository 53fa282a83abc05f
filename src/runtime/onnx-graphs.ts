/** Graphs of an .onnx file that others exported, brought to the inputs and outputs that the runtime feeds and fetches. */
import type { ModelShape } from "../arch/family.ts";
import type { SiteTable } from "../arch/sites.ts";
import { VeneError } from "../base/errors.ts";
import { importGraph, opsetOf, type ValueTypes } from "../graph/import.ts";
import { type Alias, addAlias, addRows, valueOfRows } from "../graph/import-rows.ts";
import type { Graph } from "../graph/ir.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { instrument, type Point } from "../interventions/points.ts";
import type { GraphSource, SessionGraph } from "./graph-source.ts";
import type { OnnxFile } from "./onnx-file.ts";
import { noCheckpoint } from "./onnx-types.ts";

/** A kind of file: how its graph is brought to the runtime's inputs and outputs, and what the runtime is to know of it. */
export interface Adapted {
  readonly shape: ModelShape;
  readonly sites: SiteTable;
  /** Values that only some of their readers are to see edited, by the names that places have for them. */
  readonly aliases?: ReadonlyMap<string, Alias>;
  /** Changes a fresh graph in place. */
  adapt(graph: Graph): void;
}

/** The oldest version of ONNX's operators whose Split takes sizes as an input, as the nodes of points use it. */
const OLDEST_OPSET = 13;

export class OnnxGraphs implements GraphSource {
  readonly sites: SiteTable;
  readonly weightBytes: number;
  readonly #file: OnnxFile;
  readonly #types: ValueTypes;
  readonly #adapted: Adapted;

  constructor(file: OnnxFile, types: ValueTypes, adapted: Adapted) {
    this.sites = adapted.sites;
    this.weightBytes = file.weightBytes;
    this.#file = file;
    this.#types = types;
    this.#adapted = adapted;
  }

  /** Throws `onnx-unsupported` when there are points in a graph of old operators, `site-unknown`. */
  async build(points: readonly Point[]): Promise<SessionGraph> {
    const { model, folder } = this.#file;
    const opset = opsetOf(model);
    if (points.length > 0 && opset < OLDEST_OPSET) {
      throw new VeneError("onnx-unsupported", `the file is written in opset ${opset}, points need ${OLDEST_OPSET}`, {
        hint: "export the model again with a newer opset, or convert it with onnx.version_converter",
        details: { opset },
      });
    }
    const graph = importGraph(model, this.#types);
    for (const [name, width] of rowsWanted(points)) {
      const alias = this.#adapted.aliases?.get(name);
      if (alias !== undefined) addAlias(graph, name, alias);
      addRows(graph, name, width);
    }
    instrument(graph, points);
    // Last, so that points find values under the names of the file.
    this.#adapted.adapt(graph);
    return { bytes: serialiseGraph(graph, noCheckpoint, model), weightsFolder: folder };
  }
}

/** Values that points see as rows, with their widths. */
function rowsWanted(points: readonly Point[]): ReadonlyMap<string, number> {
  const seen = points.flatMap(({ value, width, operation }) => [
    { value, width },
    ...(operation?.input === undefined ? [] : [operation.input]),
  ]);
  return new Map(seen.map(({ value, width }) => [valueOfRows(value), width]));
}
