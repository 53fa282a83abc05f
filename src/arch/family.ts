/** What a model family's file provides: reading its config, and compiling config and weights to a graph. */
import type { Graph } from "../graph/ir.ts";
import type { ConfigReader } from "./config.ts";
import type { SiteTable } from "./sites.ts";
import type { WeightIndex } from "./weights.ts";

/** Far above any real model: beyond these a config is refused before anything is allocated by its numbers. */
export const MAX_LAYERS = 10_000;
export const MAX_HEAD_SIZE = 65_536;
/** A longer context than this is taken for this one. */
export const MAX_CONTEXT = 2 ** 24;

/** The numbers other rooms need of a config. */
export interface ModelShape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Most positions the model was trained for. */
  readonly contextLength: number;
  /** Width of a cached key and of a cached value, per layer. */
  readonly cache: readonly { readonly key: number; readonly value: number }[];
}

export interface CompiledModel {
  readonly graph: Graph;
  readonly sites: SiteTable;
}

/** Values that a graph has only on demand, because they cost something even when nobody reads them. */
export interface CompileOptions {
  /** Layers whose attention weights are computed as values. */
  readonly attentionWeights: ReadonlySet<number>;
}

export const nothingOnDemand: CompileOptions = { attentionWeights: new Set() };

export interface Family {
  /** The name used in manifests: config.json's model_type. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  shape(config: ConfigReader): ModelShape;
  /** A fresh graph; the caller may operate on it. Throws `weights-missing` and `config-unsupported`. */
  compile(config: ConfigReader, weights: WeightIndex, options?: CompileOptions): CompiledModel;
}
