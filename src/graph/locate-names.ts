/** What exporters' names say of a decoder's components: module paths in node names (TorchScript, genai) or in metadata (dynamo). */
import type { Graph, Node, Value } from "./ir.ts";
import type { LocatedComponent } from "./locate.ts";
import { origin, rowWidth } from "./locate-walks.ts";

/** Modules whose last value is the component, below "<prefix>.<layer>."; "" is the layer itself. */
const modules = {
  block_output: [""],
  attention_output: [
    "self_attn.o_proj",
    "self_attn.out_proj",
    "self_attn.dense",
    "attn.c_proj",
    "attn.o_proj",
    "attn.attention.out_proj",
    "attention.dense",
  ],
  query_output: ["self_attn.q_proj", "attn.q_proj", "attn.attention.q_proj"],
  key_output: ["self_attn.k_proj", "attn.k_proj", "attn.attention.k_proj"],
  value_output: ["self_attn.v_proj", "attn.v_proj", "attn.attention.v_proj"],
  mlp_activation: ["mlp.act_fn", "mlp.act", "mlp.activation_fn", "activation_fn"],
  mlp_output: ["mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2", "fc2"],
} as const satisfies { readonly [C in LocatedComponent]?: readonly string[] };

const componentOf: ReadonlyMap<string, LocatedComponent> = new Map(
  Object.entries(modules).flatMap(([component, paths]) =>
    paths.map((path) => [path, component as LocatedComponent] as const),
  ),
);

/** Honest paths have a few dozen letters. */
const LONGEST_PATH = 512;

/** By layer, the values that names point at. */
export type NamedComponents = ReadonlyMap<number, ReadonlyMap<LocatedComponent, Value>>;

/** Empty for graphs whose names say nothing. */
export function namedComponents(graph: Graph): NamedComponents {
  const found = new Map<number, Map<LocatedComponent, Value>>();
  for (const node of graph.nodes) {
    const path = modulePath(node) ?? "";
    const place = path.length > LONGEST_PATH ? null : /^(?:.*\.)?(?:layers|h|blocks)\.(\d+)(?:\.(.*))?$/.exec(path);
    const component = place === null ? undefined : componentOf.get(place[2] ?? "");
    const value = node.outputs.findLast((output) => rowWidth(output) !== undefined);
    if (place === null || component === undefined || value === undefined) continue;
    const layer = Number(place[1]);
    const own = found.get(layer) ?? new Map<LocatedComponent, Value>();
    // Files are in topological order, so the last value of a module is what it gives.
    own.set(component, origin(value));
    found.set(layer, own);
  }
  return found;
}

/** Path of the PyTorch module that a node was exported from: "model.layers.0.self_attn.o_proj". */
function modulePath({ stored, op }: Node): string | undefined {
  const scopes = stored?.metadataProps.find(({ key }) => key === "pkg.torch.onnx.name_scopes")?.value;
  if (scopes !== undefined) return [...scopes.matchAll(/'([^']*)'/g)].at(-2)?.[1];
  const parts = (stored?.name ?? "").split("/");
  const own = parts.pop()!;
  return parts.length > 1 && parts[0] === "" && own.startsWith(op) ? parts.slice(1).join(".") : undefined;
}
