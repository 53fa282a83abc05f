/** What a model family's file provides: reading its config, and compiling config and weights to a graph. */
import type { DType } from "../base/dtype.ts";
import type { Dimension, Graph } from "../graph/ir.ts";
import type { ConfigReader } from "./config.ts";
import type { Bits } from "./quantise.ts";
import type { SiteTable } from "./sites.ts";
import type { WeightIndex } from "./weights.ts";

/** Far above any real model: beyond these a config is refused before anything is allocated by its numbers. */
export const MAX_LAYERS = 10_000;
export const MAX_HEAD_SIZE = 65_536;
/** A longer context than this is taken for this one. */
export const MAX_CONTEXT = 2 ** 24;

export interface CarriedCache {
  readonly input: string;
  readonly output: string;
  readonly dtype: "float32" | "float16";
  readonly shape: readonly number[];
}

/** What goes into a model that takes tensors, and what its first output looks like; strings are sizes that vary. */
export interface TensorInterface {
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly shape: readonly Dimension[] }[];
  /** Without the batch axis. */
  readonly output: readonly Dimension[];
}

/** The numbers other rooms need of a config. */
export interface ModelShape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Most positions the model was trained for. */
  readonly contextLength: number;
  /** Width of a cached key and of a cached value, per layer. */
  readonly cache: readonly { readonly key: number; readonly value: number }[];
  /** Sizes of the sliding windows that some layers have, each once: how many tokens a query sees, itself included. */
  readonly windows?: readonly number[];
  /** Recurrent states: their size per row does not grow with the text; they are zero before the first token. */
  readonly states?: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /**
   * Caches of an imported file, which hold all tokens so far: what a step gives as `output` is fed as `input` to the next. `shape`
   * is one row's before the first token.
   */
  readonly carried?: readonly CarriedCache[];
  /** Why rows of a batch must have the same length; undefined: they are padded. */
  readonly unpadded?: string;
  /** Of models that take tensors rather than tokens. */
  readonly tensors?: TensorInterface;
  /** True for encoders, whose tokens look both ways: they cannot generate. */
  readonly encoder?: boolean;
}

export interface CompiledModel {
  readonly graph: Graph;
  readonly sites: SiteTable;
}

/** What a graph is or has only on demand. */
export interface CompileOptions {
  /** Layers whose attention weights are computed as values: they cost something even when nobody reads them. */
  readonly attentionWeights: ReadonlySet<number>;
  /** Bits per weight of Linear layers, and of the one that ends in logits; undefined for float32. */
  readonly bits?: { readonly layers: Bits; readonly head: Bits } | undefined;
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
