/** What a kind's file provides: its maths, declared once, from which both the graph and the plain-JS reference follow. */
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

export interface KindImplementation {
  readonly kind: Kind;
  readonly affine: Affine;
  /** Whether the site's value is handed to the caller. */
  readonly collects: boolean;
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
