/** What a kind's file provides: its maths, as a handful of numbers or as nodes to emit, and the same in plain JS. */
import type { Random } from "../base/rng.ts";
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import type { Kind } from "../spec/kinds.ts";

/**
 * out = base - strength x (1 - keep) x base + strength x gain x source, on the columns and rows it acts on. At strength 1
 * that is keep x base + gain x source; at strength 0 it is the base, bit for bit.
 */
export interface Affine {
  /** 1: the base stays; 0: it is taken away. */
  readonly keep: 0 | 1;
  /** Factor of the source; 0: there is no source. */
  readonly gain: -1 | 0 | 1;
}

/** A kind that needs no nodes of its own: all of these share one matrix product (see points.ts). */
export interface AffineKind {
  readonly kind: Kind;
  readonly affine: Affine;
  /** Whether the site's value is handed to the caller. */
  readonly collects: boolean;
  /** Where a source's value is read: the site itself, or the input of the site's module. */
  readonly sourceSide: "site" | "input";
}

/** What an operator's nodes work on: k blocks, each what the intervention acts on in one go. */
export interface OperatorValues {
  /** float32 [k, n] */
  readonly base: Value;
  /** float32 [k, n]; undefined where the operator takes no source. */
  readonly source: Value | undefined;
  /** float32 [k, features]: 1 where a feature is chosen; undefined where there is nothing to choose. */
  readonly select: Value | undefined;
  /** float32 [k, m]: the module's input at the block; undefined unless asked for. */
  readonly input: Value | undefined;
  readonly tensors: { readonly [role: string]: Value };
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A matrix, or a vector as one row, in plain JS. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Row-major. */
  readonly values: Float64Array;
}

/** {@link OperatorValues} of one block in plain JS. */
export interface OperatorNumbers {
  readonly base: Float64Array;
  readonly source: Float64Array | undefined;
  readonly select: Float64Array | undefined;
  readonly input: Float64Array | undefined;
  readonly tensors: { readonly [role: string]: Matrix };
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** How a new intervention's tensor of a shape begins. */
export type Initial = (shape: readonly number[], random: Random) => Float32Array;

/** Maths of a kind that emits nodes; a user's own interventions have the same. */
export interface Operator {
  /** Whether it takes a source. */
  readonly takesSource: boolean;
  /** Whether it needs the input of the site's module. */
  readonly takesInput: boolean;
  /** Emits the new value, float32 [k, n], at full strength. k may be 0. */
  emit(builder: Builder, x: OperatorValues): Value;
}

/** A kind with nodes of its own, emitted at each of its points. */
export interface OperatorKind extends Operator {
  readonly kind: Kind;
  /** The same maths in plain JS: the second, independent answer that conformance tests hold the graph to. */
  reference(x: OperatorNumbers): Float64Array;
  /** Tensors that a new intervention may begin without, by role. */
  readonly initial: { readonly [role: string]: Initial };
}

export type KindImplementation = AffineKind | OperatorKind;

export function isAffine(kind: KindImplementation): kind is AffineKind {
  return "affine" in kind;
}

/** The affine maths in plain JS: the second, independent answer that conformance tests hold the graph to. */
export function applyAffine(
  affine: Affine,
  base: Float32Array,
  source: Float32Array | undefined,
  strength: number,
): Float32Array {
  return base.map((b, i) => {
    const kept = affine.keep === 1 ? b : b - strength * b;
    return source === undefined ? kept : kept + strength * affine.gain * source[i]!;
  });
}
