/** Verbs that change a graph at a value. The caller names a value; every reader of it, graph outputs included, sees the change. */
import { VeneError } from "../base/errors.ts";
import { type Graph, redirect, type Value } from "./ir.ts";

/**
 * Splices nodes in behind `value`: `build` gets it and returns the value that everyone else reads from now on. The new value
 * takes over the name, so a site keeps meaning the same place after any number of edits; the original gets `<name>.raw`.
 * Throws `graph-invalid` for constants, which are not activations.
 */
export function spliceAfter(graph: Graph, value: Value, build: (value: Value) => Value): Value {
  if (value.constant !== undefined) {
    throw new VeneError("graph-invalid", `${value.name} is a constant: there is nothing to intervene on`);
  }
  const readers = [...value.uses];
  const replacement = build(value);
  if (replacement === value) return value;
  for (const use of readers) redirect(use, replacement);
  graph.outputs.forEach((output, index) => {
    if (output === value) graph.outputs[index] = replacement;
  });
  if (!graph.inputs.includes(value)) {
    const name = value.name;
    graph.rename(value, graph.freeName(`${name}.raw`));
    graph.rename(replacement, name);
  }
  return replacement;
}
