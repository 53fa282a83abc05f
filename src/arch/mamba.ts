/** Mamba: no attention; each layer mixes tokens by a short convolution and a selective recurrence, whose states are the cache. */
import { Graph, type Value } from "../graph/ir.ts";
import { activationOf } from "./activations.ts";
import type { ConfigReader } from "./config.ts";
import { decoderLogits, io } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import {
  type CompiledModel,
  type CompileOptions,
  type Family,
  MAX_CONTEXT,
  MAX_LAYERS,
  type ModelShape,
  nothingOnDemand,
} from "./family.ts";
import { framed } from "./framed.ts";
import { selectiveScan } from "./selective-scan.ts";
import { type TokenInputs, tokenInputs } from "./token-inputs.ts";
import type { WeightIndex } from "./weights.ts";

interface MambaConfig extends ModelShape {
  /** Channels inside the mixer. */
  readonly channels: number;
  /** States per channel. */
  readonly stateSize: number;
  /** Tokens that the convolution sees, the present one included. */
  readonly kernel: number;
  /** Width of the time step before it is spread over the channels. */
  readonly rank: number;
  readonly epsilon: number;
  readonly bias: boolean;
  readonly convBias: boolean;
  readonly tied: boolean;
}

const convState = (layer: number) => `${layer}.conv`;
const scanState = (layer: number) => `${layer}.ssm`;

function readMamba(config: ConfigReader): MambaConfig {
  const hiddenSize = config.int("hidden_size");
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  const channels = config.int("intermediate_size", Math.trunc(config.number("expand", 2) * hiddenSize));
  const stateSize = config.int("state_size", 16);
  const kernel = config.int("conv_kernel", 4);
  if (kernel < 2) throw config.unsupported("conv_kernel", "2 and more");
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength: MAX_CONTEXT,
    cache: [],
    states: Array.from({ length: layers }, (_, layer) => [
      { name: convState(layer), shape: [kernel - 1, channels] },
      { name: scanState(layer), shape: [stateSize, channels] },
    ]).flat(),
    channels,
    stateSize,
    kernel,
    rank: config.int("time_step_rank", Math.ceil(hiddenSize / 16)),
    epsilon: config.number("layer_norm_epsilon", 1e-5),
    bias: config.boolean("use_bias", false),
    convBias: config.boolean("use_conv_bias", true),
    tied: config.boolean("tie_word_embeddings", true),
  };
}

class MambaCompiler {
  readonly e: Emitter;
  readonly c: MambaConfig;
  readonly config: ConfigReader;

  constructor(config: ConfigReader, weights: WeightIndex, options: CompileOptions) {
    this.config = config;
    this.c = readMamba(config);
    const prefix = weights.prefixOf(["backbone.", ""], "embeddings.weight");
    const stored = (path: string) => path.replace(/^backbone\./, prefix);
    this.e = new Emitter(new Graph("mamba"), weights, this.c.layers, options, stored);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const inputs = tokenInputs(e);
    const embedding = e.weight(e.stored("backbone.embeddings.weight"), [c.vocabularySize, c.hiddenSize]);
    let hidden = e.gatherRows("embeddings.output", embedding, inputs.ids);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden, inputs);
    hidden = e.rms("backbone.norm_f", hidden, c.hiddenSize, c.epsilon);
    decoderLogits(e, hidden, c.tied ? embedding : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]));
    return { graph: e.graph, sites: e.sites };
  }

  private block(layer: number, x: Value, inputs: TokenInputs): Value {
    const { e, c } = this;
    const path = `backbone.layers.${layer}`;
    const mixer = { layer, path: `${path}.mixer`, width: c.hiddenSize };
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const normed = e.rms(`${path}.norm`, input, c.hiddenSize, c.epsilon);
      const mixed = framed(e, "mixer", mixer, normed, (inner) => this.mixer(layer, mixer.path, inner, inputs));
      return e.add(`${path}.sum`, input, mixed);
    });
  }

  private mixer(layer: number, path: string, x: Value, inputs: TokenInputs): Value {
    const { e, c } = this;
    const { channels, hiddenSize, bias } = c;
    const both = e.dense(`${path}.in_proj`, x, hiddenSize, 2 * channels, { bias });
    const [taken, gate] = e.split([`${path}.taken`, `${path}.gate`], both, [channels, channels], 1) as [Value, Value];
    // Padding is nothing: it leaves the states of a row that it precedes at zero.
    const real = (name: string, rows: Value) => e.mul(`${path}.${name}.real`, rows, inputs.realRows);
    const convolved = real("convolved", this.convolution(layer, path, real("taken", taken), inputs));
    const scanned = this.recurrence(layer, path, convolved, inputs);
    const skipped = e.mul(`${path}.skipped`, convolved, e.weight(e.stored(`${path}.D`), [channels]));
    const open = e.mul(`${path}.gate.open`, gate, e.op("Sigmoid", `${path}.gate.sigmoid`, [gate]));
    const gated = e.mul(`${path}.gated`, e.add(`${path}.joined`, scanned, skipped), open);
    return e.dense(`${path}.out_proj`, gated, channels, hiddenSize, { bias });
  }

  /** Each channel's last `kernel` tokens, weighted, then the activation: rows [r, channels] to the same. */
  private convolution(layer: number, path: string, x: Value, inputs: TokenInputs): Value {
    const { e, c } = this;
    const past = e.graph.addInput(io.pastState(convState(layer)), "float32", ["batch", c.kernel - 1, c.channels]);
    const present = e.reshape(`${path}.taken.batched`, x, inputs.batched);
    const all = e.concat(`${path}.window`, [past, present], 1);
    const ends = [e.int64([1 - c.kernel]), e.int64([2 ** 31 - 1]), e.int64([1])];
    e.graph.addOutput(e.op("Slice", io.stepState(convState(layer)), [all, ...ends]));
    const module = `${path}.conv1d`;
    const weight = e.weight(e.stored(`${module}.weight`), [c.channels, 1, c.kernel]);
    const bias = c.convBias ? e.weight(e.stored(`${module}.bias`), [c.channels]) : undefined;
    const columns = e.op("Transpose", `${module}.columns`, [all], { perm: [0, 2, 1] });
    const output = e.op("Conv", `${module}.convolved`, [columns, weight, bias], { group: c.channels });
    const rows = e.op("Transpose", `${module}.rows`, [output], { perm: [0, 2, 1] });
    const flat = e.reshape(`${module}.flat`, rows, [-1, c.channels]);
    return activationOf(this.config, "hidden_act", "silu")(e, `${path}.act.output`, flat);
  }

  private recurrence(layer: number, path: string, x: Value, inputs: TokenInputs): Value {
    const { e, c } = this;
    const { channels, stateSize, rank } = c;
    const parts = e.dense(`${path}.x_proj`, x, channels, rank + 2 * stateSize, { bias: false });
    const names = [`${path}.rank`, `${path}.write`, `${path}.read`];
    const [low, write, read] = e.split(names, parts, [rank, stateSize, stateSize], 1) as [Value, Value, Value];
    const spread = e.weight(e.stored(`${path}.dt_proj.weight`), [channels, rank]);
    const shift = e.weight(e.stored(`${path}.dt_proj.bias`), [channels]);
    const time = e.op("Softplus", `${path}.time`, [e.exactLinear(`${path}.time.raw`, low, spread, shift)]);
    const logs = e.weight(e.stored(`${path}.A_log`), [channels, stateSize]);
    const rates = e.op("Exp", `${path}.rates`, [e.op("Transpose", `${path}.rates.log`, [logs], { perm: [1, 0] })]);
    const past = e.graph.addInput(io.pastState(scanState(layer)), "float32", ["batch", stateSize, channels]);
    const axis = (name: string, rows: Value, at: 2 | 3) => {
      const steps = e.reshape(`${path}.${name}.batched`, rows, inputs.batched);
      return e.op("Unsqueeze", `${path}.${name}.steps`, [steps, e.int64([at])]);
    };
    const { output, state } = selectiveScan(e, `${path}.scan`, io.stepState(scanState(layer)), {
      decay: e.op("Neg", `${path}.decay`, [rates]),
      past,
      time: axis("time", time, 2),
      input: axis("input", e.mul(`${path}.input`, time, x), 2),
      write: axis("write", write, 3),
      read: axis("read", read, 2),
    });
    e.graph.addOutput(state);
    return e.reshape(`${path}.scanned`, output, [-1, channels]);
  }
}

export const mamba: Family = {
  name: "mamba",
  title: "Mamba (1)",
  shape: readMamba,
  compile: (config, weights, options = nothingOnDemand) => new MambaCompiler(config, weights, options).compile(),
};
