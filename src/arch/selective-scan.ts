/** The recurrence of Mamba as an ONNX Scan over time (arXiv 2312.00752, section 3): the graph stays small whatever the text's length. */
import { Builder } from "../graph/builder.ts";
import { Body, Graph, type Value } from "../graph/ir.ts";
import type { Emitter } from "./emitter.ts";

/** b = batch, s = step length, c = channels, n = states per channel. */
export interface ScanInputs {
  /** [n, c], negative: how fast each state fades. */
  readonly decay: Value;
  /** [b, n, c]: the states before the step. */
  readonly past: Value;
  /** [b, s, 1, c]: how much time passes at each token. */
  readonly time: Value;
  /** [b, s, 1, c]: what comes in, times `time`. */
  readonly input: Value;
  /** [b, s, n, 1]: how each state takes the input in. */
  readonly write: Value;
  /** [b, s, 1, n]: how each state shows in the output. */
  readonly read: Value;
}

/**
 * h = exp(time x decay) x h + write . input; y = read . h, token after token. Returns y [b, s, 1, c] and the last h, which is
 * called `present`. States lie with their channels together, since that is what goes through memory in order.
 */
export function selectiveScan(
  e: Emitter,
  path: string,
  present: string,
  x: ScanInputs,
): { output: Value; state: Value } {
  const attributes = {
    body: scanBody(`${path}.body`),
    num_scan_inputs: 4,
    scan_input_axes: [1, 1, 1, 1],
    scan_output_axes: [1],
  };
  const inputs = [x.past, x.time, x.input, x.write, x.read, x.decay];
  const [state, output] = e.ops("Scan", [present, `${path}.output`], inputs, attributes) as [Value, Value];
  return { output, state };
}

function scanBody(name: string): Body {
  const graph = new Graph(name);
  const b = new Builder(graph, `${name}.const`);
  const input = (what: string, shape: readonly string[]) => graph.addInput(`${name}.${what}`, "float32", shape);
  const past = input("past", ["b", "n", "c"]);
  const time = input("time", ["b", "one", "c"]);
  const taken = input("input", ["b", "one", "c"]);
  const write = input("write", ["b", "n", "one"]);
  const read = input("read", ["b", "one", "n"]);
  const decay = input("decay", ["n", "c"]);
  const kept = b.op("Exp", `${name}.kept`, [b.mul(`${name}.exponent`, time, decay)]);
  const before = b.mul(`${name}.before`, kept, past);
  const state = b.add(`${name}.state`, before, b.mul(`${name}.written`, write, taken));
  graph.addOutput(state);
  graph.addOutput(b.matmul(`${name}.output`, read, state));
  return new Body(graph, 1);
}
