/** Rotary position embeddings: frequencies from the config (plain, linear, llama3, longrope) and their nodes. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/ir.ts";
import type { ConfigReader } from "./config.ts";
import type { Emitter } from "./emitter.ts";

/** How far a position turns each pair of dimensions. */
export interface Rope {
  /** One per pair: of each head, as many dimensions as twice the length turn, the rest stay. */
  readonly frequencies: Float32Array;
  /** Multiplies cosines and sines. */
  readonly factor: number;
  /** Positions that these frequencies are good for, where that is fewer than the config's. */
  readonly contextLength?: number;
}

type Scale = (plain: Float32Array, parameters: ConfigReader, config: ConfigReader) => Rope;

/** transformers' rope types that need nothing but the config, each as a map over the plain inverse frequencies. */
const ropeTypes: Readonly<Record<string, Scale>> = {
  default: (plain) => ({ frequencies: plain, factor: 1 }),
  linear: (plain, parameters) => ({ frequencies: plain.map((f) => f / parameters.number("factor")), factor: 1 }),
  llama3: (plain, parameters) => ({ frequencies: llama3(plain, parameters), factor: 1 }),
  longrope,
  su: longrope,
};

/** Llama 3.1's scheme: long wavelengths are slowed by `factor`, short ones kept, a ramp between. */
function llama3(frequencies: Float32Array, parameters: ConfigReader): Float32Array {
  const factor = parameters.number("factor");
  const low = parameters.number("low_freq_factor");
  const high = parameters.number("high_freq_factor");
  const original = parameters.number("original_max_position_embeddings");
  return frequencies.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > original / low) return f / factor;
    if (wavelength < original / high) return f;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/**
 * LongRoPE (Phi-3) has one set of factors for texts up to the original context and another beyond, which would turn keys
 * already cached anew. Only the short ones are used, so the context is the original one.
 */
function longrope(plain: Float32Array, parameters: ConfigReader, config: ConfigReader): Rope {
  const key = "original_max_position_embeddings";
  const original = (config.has(key) ? config : parameters).int(key);
  const short = parameters.numbers("short_factor");
  if (short?.length !== plain.length) throw parameters.unsupported("short_factor", `a list of ${plain.length} numbers`);
  const stretch = parameters.number("factor", config.int("max_position_embeddings") / original);
  const usual = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  return {
    frequencies: plain.map((f, i) => f / short[i]!),
    factor: parameters.number("attention_factor", usual),
    contextLength: original,
  };
}

export interface RopeOptions {
  /** What is read instead of the config's rope_parameters or rope_scaling. */
  readonly parameters?: ConfigReader | undefined;
  /** rope_theta where the config has none; default 10000. */
  readonly theta?: number;
  /** The share of a head that turns, where the config says none; default 1. */
  readonly partial?: number;
  /** What the config called these two before transformers 5 moved them to rope_parameters. */
  readonly names?: { readonly theta: string; readonly factor: string };
}

const usualNames = { theta: "rope_theta", factor: "partial_rotary_factor" };

/**
 * The rotation that a config describes. Understands transformers 5 (`rope_parameters`) and 4 (`rope_theta`, `rope_scaling`,
 * `partial_rotary_factor`). Throws `config-unsupported` for other rope types and odd sizes, `checkpoint-invalid` for numbers
 * that give no frequencies.
 */
export function ropeOf(config: ConfigReader, headSize: number, options: RopeOptions = {}): Rope {
  const modern = options.parameters ?? config.child("rope_parameters");
  const scaling = modern ?? config.child("rope_scaling");
  const number = (name: keyof typeof usualNames, fallback: number) =>
    modern?.has(usualNames[name])
      ? modern.number(usualNames[name])
      : config.number((options.names ?? usualNames)[name], fallback);
  const theta = number("theta", options.theta ?? 10000);
  const turned = turnedSize(headSize, number("factor", options.partial ?? 1));
  const rope = scaled(plainFrequencies(theta, turned), scaling, config);
  const bad = [...rope.frequencies, rope.factor].find((number) => !(number > 0 && Number.isFinite(number)));
  if (bad === undefined) return rope;
  throw new VeneError("checkpoint-invalid", `the config's rope parameters give the frequency or factor ${bad}`, {
    hint: "rope_theta and the factors of its scaling must be positive",
    details: { theta, frequency: bad },
  });
}

/** How many of a head's dimensions turn. Throws `config-unsupported` unless it is an even number of them. */
function turnedSize(headSize: number, share: number): number {
  const size = Math.floor(headSize * share);
  if (size >= 2 && size <= headSize && size % 2 === 0) return size;
  throw new VeneError("config-unsupported", `${size} of a head's ${headSize} dimensions rotate, not an even number`, {
    details: { headSize, share },
  });
}

function plainFrequencies(theta: number, size: number): Float32Array {
  return new Float32Array(size / 2).map((_, i) => 1 / Math.fround(theta ** ((2 * i) / size)));
}

function scaled(plain: Float32Array, parameters: ConfigReader | undefined, config: ConfigReader): Rope {
  if (parameters === undefined) return { frequencies: plain, factor: 1 };
  const key = parameters.has("rope_type") ? "rope_type" : "type";
  const type = parameters.string(key, "default");
  const scale = Object.hasOwn(ropeTypes, type) ? ropeTypes[type] : undefined;
  if (scale === undefined) throw parameters.unsupported(key, Object.keys(ropeTypes).join(", "));
  return scale(plain, parameters, config);
}

export interface Rotation {
  /** float32 [b, s, turned / 2] */
  readonly cos: Value;
  readonly sin: Value;
  /** How many dimensions of each head turn. */
  readonly turned: number;
}

/** Cosines and sines for this step's positions, computed once and shared by all layers of that rope. */
export function emitRotation(e: Emitter, positions: Value, { frequencies, factor }: Rope, stem = "rope"): Rotation {
  const table = e.graph.addConstant(`${stem}.frequencies`, Tensor.float32([1, 1, frequencies.length], frequencies));
  return rotationBy(e, positions, table, { pairs: frequencies.length, factor }, stem);
}

/** The same for frequencies [1, 1, pairs] that are a value of the graph. */
export function rotationBy(
  e: Emitter,
  positions: Value,
  table: Value,
  { pairs, factor }: { readonly pairs: number; readonly factor: number },
  stem = "rope",
): Rotation {
  const floats = e.op("Cast", `${stem}.positions`, [positions], { to: 1 });
  const angles = e.mul(`${stem}.angles`, e.op("Unsqueeze", `${stem}.column`, [floats, e.int64([2])]), table);
  const wave = (op: "Cos" | "Sin", name: string) => {
    const plain = e.op(op, name, [angles]);
    return factor === 1 ? plain : e.mul(`${name}.scaled`, plain, e.scalar(factor));
  };
  return { cos: wave("Cos", `${stem}.cos`), sin: wave("Sin", `${stem}.sin`), turned: 2 * pairs };
}

/** Rotates the first dimensions of each head of [b, s, heads x size], halves apart (transformers' rotate_half). */
export function rotate(e: Emitter, name: string, x: Value, { cos, sin, turned }: Rotation, heads: number): Value {
  return e.op("RotaryEmbedding", name, [x, cos, sin], {
    num_heads: heads,
    interleaved: 0,
    rotary_embedding_dim: turned,
  });
}
