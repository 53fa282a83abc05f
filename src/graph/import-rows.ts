/** Brings values of an imported graph to what points are written for: rows of features, read by whom an edit is meant for. */
import { VeneError } from "../base/errors.ts";
import { Builder } from "./builder.ts";
import { type Graph, Node, redirect, Value } from "./ir.ts";
import { spliceAfter } from "./surgery.ts";

const VIEW = "rows of ";

/** Name of the float32 [rows, width] view that {@link addRows} puts into the graph. */
export function rowsName(value: string): string {
  return VIEW + value;
}

/** The value that a view shows. */
export function valueOfRows(view: string): string {
  return view.slice(VIEW.length);
}

/**
 * Splices a view of `value` as float32 rows [product of the other axes, last axis] in behind it: who edits the view edits the
 * value. Graph, value and readers are otherwise the same, bit for bit. Throws `site-unknown` when the graph lacks the value.
 */
export function addRows(graph: Graph, name: string, width: number): void {
  const value = graph.find(name);
  if (value === undefined) throw new VeneError("site-unknown", `the graph has no value ${name}`);
  const builder = new Builder(graph, "rows.const");
  const view = rowsName(name);
  spliceAfter(graph, value, (x) => {
    const shape = builder.op("Shape", `${view}.shape`, [x], {}, "int64");
    const restored = builder.reshape(`${view}.restored`, cast(builder, viewOf(builder, view, x, width), x), shape);
    return restored;
  });
}

function viewOf(builder: Builder, view: string, x: Value, width: number): Value {
  const { graph } = builder;
  if (x.dtype === "float32") return builder.reshape(view, x, [-1, width]);
  const flat = builder.reshape(graph.freeName(`${view}.flat`), x, [-1, width]);
  return builder.op("Cast", view, [flat], { to: FLOAT });
}

/** A value under a name of its own for some of its readers, given by the names of their first outputs. */
export interface Alias {
  readonly value: string;
  readonly readers: readonly string[];
}

/** Lets the readers read a copy of the value that is called `name`: an edit there is theirs alone. */
export function addAlias(graph: Graph, name: string, { value, readers }: Alias): void {
  const shared = graph.find(value)!;
  const nodes = new Set(readers.map((reader) => graph.find(reader)?.producer));
  const uses = [...shared.uses].filter(({ node, index }) => index === 0 && nodes.has(node));
  const copy = graph.addValue(new Value(name, shared.dtype, shared.shape));
  graph.insert(new Node("Identity", "", [shared], [copy], {}));
  for (const use of uses) redirect(use, copy);
}

const FLOAT = 1;
const FLOAT16 = 10;

/** Back to the dtype of `like`. */
function cast(builder: Builder, rows: Value, like: Value): Value {
  if (like.dtype === "float32") return rows;
  return builder.op("Cast", `${rows.name}.half`, [rows], { to: FLOAT16 }, "float16");
}
