/** Reading fixtures and comparing numbers with them. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withFile } from "../../src/base/bytes.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";

const root = fileURLToPath(new URL("../fixtures", import.meta.url));

export function fixture(...parts: string[]): string {
  return join(root, ...parts);
}

export function readTensors(path: string): Promise<Map<string, Tensor>> {
  return withFile(path, readSafetensors);
}

/** Rows of a two-dimensional integer tensor. */
export function idsOf(tensor: Tensor): number[][] {
  const [rows, columns] = tensor.shape as [number, number];
  const flat = tensor.toNumbers();
  return Array.from({ length: rows }, (_, row) => flat.slice(row * columns, (row + 1) * columns));
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

export function rangeOf(values: Float32Array): number {
  return (
    values.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY) -
    values.reduce((a, v) => Math.min(a, v), Number.POSITIVE_INFINITY)
  );
}
