/** Reads ESM's config. */
import type { ConfigReader } from "./config.ts";
import { MAX_CONTEXT, MAX_LAYERS, type ModelShape } from "./family.ts";
import type { Heads } from "./self-attention.ts";

export interface EsmConfig extends ModelShape, Heads {
  readonly inner: number;
  readonly epsilon: number;
  readonly positions: "rotary" | "absolute";
  /** A LayerNorm on the embeddings. */
  readonly normBefore: boolean;
  readonly tokenDropout: boolean;
  /** -1, which is no token, where the config names none. */
  readonly maskTokenId: number;
  readonly padTokenId: number;
  readonly tied: boolean;
}

/** Fields that would make it another model. */
const never = ["is_decoder", "add_cross_attention", "is_folding_model"];

/** Throws `checkpoint-invalid`, `config-unsupported`. */
export function readEsm(config: ConfigReader): EsmConfig {
  const hiddenSize = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const layers = config.int("num_hidden_layers", undefined, MAX_LAYERS);
  if (hiddenSize % heads !== 0) throw config.unsupported("num_attention_heads", `a divisor of ${hiddenSize}`);
  for (const key of never) if (config.boolean(key, false)) throw config.unsupported(key, "false");
  const positions = config.string("position_embedding_type", "absolute");
  if (positions !== "rotary" && positions !== "absolute") {
    throw config.unsupported("position_embedding_type", "rotary, absolute");
  }
  const padTokenId = config.ids("pad_token_id")[0] ?? 1;
  const rows = config.int("max_position_embeddings", 1026, MAX_CONTEXT);
  const contextLength = positions === "rotary" ? rows : rows - padTokenId - 1;
  if (contextLength < 1) throw config.unsupported("max_position_embeddings", `more than ${padTokenId + 1}`);
  return {
    layers,
    hiddenSize,
    vocabularySize: config.int("vocab_size"),
    contextLength,
    cache: [],
    encoder: true,
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    inner: config.int("intermediate_size"),
    epsilon: config.number("layer_norm_eps", 1e-12),
    positions,
    normBefore: config.boolean("emb_layer_norm_before", false),
    tokenDropout: config.boolean("token_dropout", false),
    maskTokenId: config.ids("mask_token_id")[0] ?? -1,
    padTokenId,
    tied: config.boolean("tie_word_embeddings", true),
  };
}
