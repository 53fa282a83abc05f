/** A decoder's components as structure and names agree on them. */
import type { Graph, Value } from "./ir.ts";
import { type Finding, type LocatedComponent, locateLayer } from "./locate.ts";
import { namedComponents } from "./locate-names.ts";

export const locatedComponents = [
  "block_input",
  "block_output",
  "attention_input",
  "attention_value_output",
  "attention_output",
  "query_output",
  "key_output",
  "value_output",
  "mlp_input",
  "mlp_activation",
  "mlp_output",
] as const satisfies readonly LocatedComponent[];

/** Every component of every layer: its value, or why it has none. */
export function locateDecoder(
  graph: Graph,
  pastKeys: readonly string[],
): readonly ReadonlyMap<LocatedComponent, Finding>[] {
  const names = namedComponents(graph);
  return pastKeys.map((pastKey, layer) => {
    const found = locateLayer(graph, pastKey);
    const named = names.get(layer);
    return new Map(
      locatedComponents.map((component) => {
        const structure =
          typeof found === "string" ? `was not found: ${found}` : (found.get(component) ?? "was not found");
        return [component, agreed(structure, named?.get(component))];
      }),
    );
  });
}

function agreed(structure: Finding, named: Value | undefined): Finding {
  if (named === undefined || typeof structure === "string" || "by" in structure || structure === named)
    return structure;
  return `is ${structure.name} by the graph's structure and ${named.name} by its names`;
}
