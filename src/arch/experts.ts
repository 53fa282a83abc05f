/** Mixture of experts: a router gives each token to its best few gated MLPs, and only those compute it. */
import type { Value } from "../graph/ir.ts";
import type { Activation } from "./activations.ts";
import type { Emitter } from "./emitter.ts";
import type { Mlp } from "./gated-mlp.ts";

export interface ExpertsOptions {
  readonly experts: number;
  /** Experts per token. */
  readonly chosen: number;
  readonly inner: number;
  readonly activation: Activation;
}

/**
 * The router is the module `gate`, its output the logits over the experts [r, experts]; the module `experts` goes from rows
 * to the experts' weighted sum. What a single expert computes has as many rows as it got tokens, so it is no place.
 */
export function expertsMlp(options: ExpertsOptions): Mlp {
  return (e, { path, width }, x) => {
    const logits = e.dense(`${path}.gate`, x, width, options.experts, { bias: false, exact: true });
    const shares = emitShares(e, `${path}.shares`, logits, options.chosen);
    const input = e.identity(`${path}.experts.input`, x);
    e.module(`${path}.experts`, "input", input, width);
    const shape = e.op("Shape", `${path}.experts.shape`, [input], {}, "int64");
    let sum = e.op("ConstantOfShape", `${path}.experts.none`, [shape]);
    for (let expert = 0; expert < options.experts; expert++) {
      sum = addExpert(e, { path: `${path}.experts.${expert}`, expert, width, ...options }, { sum, input, shares });
    }
    const output = e.identity(`${path}.experts.output`, sum);
    e.module(`${path}.experts`, "output", output, width);
    return output;
  };
}

/** How much of each expert a row gets, [r, experts]: softmax, the largest few, made to sum to one; 0 for the others. */
function emitShares(e: Emitter, name: string, logits: Value, chosen: number): Value {
  const all = e.op("Softmax", `${name}.all`, [logits], { axis: -1 });
  const best = e.graph.addNode(
    "TopK",
    [all, e.int64([chosen])],
    [{ name: `${name}.largest` }, { name: `${name}.which`, dtype: "int64" }],
    { axis: -1 },
  );
  const [largest, which] = best.outputs as readonly [Value, Value];
  const total = e.op("ReduceSum", `${name}.total`, [largest, e.int64([-1])], { keepdims: 1 });
  const weights = e.op("Div", `${name}.weights`, [largest, total]);
  const none = e.op("ConstantOfShape", `${name}.none`, [e.op("Shape", `${name}.shape`, [logits], {}, "int64")]);
  return e.op("ScatterElements", name, [none, which, weights], { axis: -1 });
}

interface ExpertSpec extends ExpertsOptions {
  readonly path: string;
  readonly expert: number;
  readonly width: number;
}

/** `sum` plus what one expert makes of the rows of `input` that have a share in it. */
function addExpert(
  e: Emitter,
  { path, expert, width, inner, activation }: ExpertSpec,
  { sum, input, shares }: Readonly<Record<"sum" | "input" | "shares", Value>>,
): Value {
  const weight = (name: string, shape: readonly number[]) => e.weight(e.stored(`${path}.${name}.weight`), shape);
  const share = e.op("Gather", `${path}.share`, [shares, e.int64([expert])], { axis: 1 });
  const places = e.op("NonZero", `${path}.places`, [e.reshape(`${path}.share.row`, share, [-1])], {}, "int64");
  const rows = e.reshape(`${path}.rows`, places, [-1]);
  const x = e.gatherRows(`${path}.input`, input, rows);
  const gate = e.linear(`${path}.w1`, x, weight("w1", [inner, width]));
  const up = e.linear(`${path}.w3`, x, weight("w3", [inner, width]));
  const product = e.mul(`${path}.product`, activation(e, `${path}.act`, gate), up);
  const down = e.linear(`${path}.w2`, product, weight("w2", [width, inner]));
  const weighted = e.mul(`${path}.weighted`, down, e.gatherRows(`${path}.weight`, share, rows));
  const indices = e.reshape(`${path}.indices`, rows, [-1, 1]);
  return e.op("ScatterND", `${path}.sum`, [sum, indices, weighted], { reduction: "add" });
}
