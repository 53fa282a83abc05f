/** Graphs compiled from a checkpoint; its weights are prepared when the first of them is built. */
import { basename, dirname } from "node:path";
import { layerOfAttentionWeight } from "../arch/attention-weights.ts";
import type { CopyOptions } from "../arch/cached-copy.ts";
import type { Checkpoint } from "../arch/checkpoint.ts";
import type { Family } from "../arch/family.ts";
import { preparedWeights } from "../arch/quantised-copy.ts";
import type { SiteTable } from "../arch/sites.ts";
import type { WeightIndex } from "../arch/weights.ts";
import { dtypeSizes, elementCount } from "../base/dtype.ts";
import type { Value, WeightReference } from "../graph/ir.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { instrument, type Point } from "../interventions/points.ts";
import type { GraphSource, SessionGraph } from "./graph-source.ts";

export class CheckpointGraphs implements GraphSource {
  readonly sites: SiteTable;
  readonly weightBytes: number;
  readonly #checkpoint: Checkpoint;
  readonly #family: Family;
  readonly #copy: CopyOptions;
  readonly #references: readonly WeightReference[];
  #weights: Promise<WeightIndex> | undefined;

  constructor(checkpoint: Checkpoint, family: Family, copy: CopyOptions) {
    this.#checkpoint = checkpoint;
    this.#family = family;
    this.#copy = copy;
    const { graph, sites } = family.compile(checkpoint.config, checkpoint.weights);
    this.sites = sites;
    const weights = [...graph.values()].filter(({ uses }) => uses.size > 0).flatMap(weightOf);
    this.#references = weights.map(({ reference }) => reference);
    this.weightBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async build(points: readonly Point[]): Promise<SessionGraph> {
    this.#weights ??= preparedWeights(this.#checkpoint.weights, this.#references, this.#copy);
    const weights = await this.#weights.catch((error: unknown) => {
      this.#weights = undefined;
      throw error;
    });
    const layers = points.map(({ value }) => layerOfAttentionWeight(value)).filter((layer) => layer !== undefined);
    const options = { attentionWeights: new Set(layers) };
    const { graph } = this.#family.compile(this.#checkpoint.config, this.#checkpoint.weights, options);
    instrument(graph, points);
    const bytes = serialiseGraph(graph, (name) => {
      const { file, start, end } = weights.entries.get(name)!;
      return { location: basename(file), offset: start, length: end - start };
    });
    return { bytes, weightsFolder: dirname(weights.entries.get(this.#references[0]!.weight)!.file) };
  }
}

/** The value's weight, if it is one. */
function weightOf({ constant, dtype, shape }: Value): { reference: WeightReference; bytes: number }[] {
  if (constant === undefined || !("weight" in constant)) return [];
  return [{ reference: constant, bytes: dtypeSizes[dtype!] * elementCount(shape as readonly number[]) }];
}
