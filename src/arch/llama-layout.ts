/** The decoder that LLaMA and its descendants share: one compiler, which reads the description that a family makes of its config. */
import { Graph, type Value } from "../graph/ir.ts";
import { type DecoderInputs, decoderInputs, decoderLogits } from "./decoder.ts";
import { Emitter } from "./emitter.ts";
import type { CompiledModel, CompileOptions, ModelShape } from "./family.ts";
import { framed } from "./framed.ts";
import type { Mlp } from "./gated-mlp.ts";
import { type Norm, normAt } from "./norms.ts";
import type { Projections } from "./projections.ts";
import { emitRotation, type Rope, type Rotation } from "./rotary.ts";
import { type Heads, selfAttention } from "./self-attention.ts";
import type { WeightIndex } from "./weights.ts";

/** Modules that normalise what goes into a part of the block, and what comes out of it before it joins the residual. */
interface NormsAround {
  readonly before?: string;
  readonly after?: string;
}

/** What differs between layers; layers that agree share their rope. */
export interface LayerKind {
  readonly rope: Rope;
  readonly window: number | undefined;
}

export interface LlamaLayout extends ModelShape, Heads {
  /** Per layer. */
  readonly kinds: readonly LayerKind[];
  readonly norm: Norm;
  readonly norms: { readonly attention: NormsAround; readonly mlp: NormsAround };
  readonly projections: Projections;
  /** What attention scores are multiplied by, and their cap. */
  readonly scale: number;
  readonly scoreCap?: number | undefined;
  /** Whether o_proj has a bias. */
  readonly outputBias: boolean;
  readonly mlp: Mlp;
  /** What embeddings are multiplied by. */
  readonly embeddingScale?: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
  readonly logitCap?: number | undefined;
  /** A module's name in the checkpoint, where it is not its path. */
  readonly stored?: (path: string) => string;
}

class LlamaCompiler {
  readonly e: Emitter;
  readonly c: LlamaLayout;
  readonly inputs: DecoderInputs;
  readonly #rotations = new Map<Rope, Rotation>();

  constructor(name: string, layout: LlamaLayout, weights: WeightIndex, options: CompileOptions) {
    this.c = layout;
    // Checkpoints of the bare model lack the "model." that module paths always have.
    const prefix = weights.prefixOf(["model.", ""], "embed_tokens.weight");
    const { stored = (path: string) => path } = layout;
    const named = (path: string) => stored(path).replace(/^model\./, prefix);
    this.e = new Emitter(new Graph(name), weights, layout.layers, options, named);
    this.inputs = decoderInputs(this.e, layout.windows);
  }

  compile(): CompiledModel {
    const { e, c } = this;
    const embedding = e.weight(e.stored("model.embed_tokens.weight"), [c.vocabularySize, c.hiddenSize]);
    let hidden = this.embedded(embedding);
    for (let layer = 0; layer < c.layers; layer++) hidden = this.block(layer, hidden);
    hidden = normAt(e, c.norm, "model.norm", hidden, c.hiddenSize);
    const head = c.tied ? embedding : e.weight("lm_head.weight", [c.vocabularySize, c.hiddenSize]);
    decoderLogits(e, hidden, head, { cap: c.logitCap });
    return { graph: e.graph, sites: e.sites };
  }

  private embedded(embedding: Value): Value {
    const { e, c } = this;
    const rows = e.gatherRows("embed_tokens.output", embedding, this.inputs.ids);
    return c.embeddingScale === undefined ? rows : e.mul("embed_tokens.scaled", rows, e.scalar(c.embeddingScale));
  }

  private block(layer: number, x: Value): Value {
    const { e, c } = this;
    const path = `model.layers.${layer}`;
    const mlp = { layer, path: `${path}.mlp`, width: c.hiddenSize };
    return framed(e, "block", { layer, path, width: c.hiddenSize }, x, (input) => {
      const attention = this.between(path, c.norms.attention, input, (normed) => this.attention(layer, path, normed));
      const attended = e.add(`${path}.residual`, input, attention);
      const changed = this.between(path, c.norms.mlp, attended, (normed) =>
        framed(e, "mlp", mlp, normed, (inner) => c.mlp(e, mlp, inner)),
      );
      return e.add(`${path}.sum`, attended, changed);
    });
  }

  private between(path: string, { before, after }: NormsAround, x: Value, part: (normed: Value) => Value): Value {
    const norm = (name: string | undefined, value: Value) =>
      name === undefined ? value : normAt(this.e, this.c.norm, `${path}.${name}`, value, this.c.hiddenSize);
    return norm(after, part(norm(before, x)));
  }

  private attention(layer: number, block: string, x: Value): Value {
    const { e, c } = this;
    const { rope, window } = c.kinds[layer]!;
    const path = `${block}.self_attn`;
    const spec = {
      path,
      heads: c,
      project: (input: Value) => c.projections(e, { layer, path, heads: c }, input),
      rotation: this.rotation(rope),
      scale: c.scale,
      cap: c.scoreCap,
      window,
      out: { path: `${path}.o_proj`, bias: c.outputBias },
    };
    return selfAttention(e, layer, spec, this.inputs, x);
  }

  private rotation(rope: Rope): Rotation {
    const known = this.#rotations.get(rope);
    if (known !== undefined) return known;
    const rotation = emitRotation(this.e, this.inputs.positions, rope, `rope.${this.#rotations.size}`);
    this.#rotations.set(rope, rotation);
    return rotation;
  }
}

/** A fresh graph of the described model. Throws `weights-missing`. */
export function compileLlama(
  name: string,
  layout: LlamaLayout,
  weights: WeightIndex,
  options: CompileOptions,
): CompiledModel {
  return new LlamaCompiler(name, layout, weights, options).compile();
}
