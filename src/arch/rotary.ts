/** Rotary position embeddings: frequencies from the config (plain, linear, llama3 scaling) and their nodes. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/ir.ts";
import type { ConfigReader } from "./config.ts";
import type { Emitter } from "./emitter.ts";

type Scale = (frequencies: Float32Array, parameters: ConfigReader) => Float32Array;

/** transformers' rope types that need nothing but the config, each as a map over the plain inverse frequencies. */
const ropeTypes: Readonly<Record<string, Scale>> = {
  default: (frequencies) => frequencies,
  linear: (frequencies, parameters) => frequencies.map((f) => f / parameters.number("factor")),
  llama3,
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
 * Inverse frequencies, one per pair of dimensions. Understands transformers 5 (`rope_parameters`) and 4 (`rope_theta`,
 * `rope_scaling`). Throws `config-unsupported` for other rope types, `checkpoint-invalid` for numbers that give none.
 */
export function inverseFrequencies(config: ConfigReader, headSize: number): Float32Array {
  const modern = config.child("rope_parameters");
  const scaling = modern ?? config.child("rope_scaling");
  const theta = modern?.has("rope_theta") ? modern.number("rope_theta") : config.number("rope_theta", 10000);
  const plain = new Float32Array(headSize / 2).map((_, i) => 1 / Math.fround(theta ** ((2 * i) / headSize)));
  const frequencies = scaling === undefined ? plain : scaled(plain, scaling);
  const bad = frequencies.find((frequency) => !(frequency > 0 && Number.isFinite(frequency)));
  if (bad === undefined) return frequencies;
  throw new VeneError("checkpoint-invalid", `the config's rope parameters give the frequency ${bad}`, {
    hint: "rope_theta and the factors of its scaling must be positive",
    details: { theta, frequency: bad },
  });
}

function scaled(plain: Float32Array, scaling: ConfigReader): Float32Array {
  const key = scaling.has("rope_type") ? "rope_type" : "type";
  const type = scaling.string(key, "default");
  const scale = Object.hasOwn(ropeTypes, type) ? ropeTypes[type] : undefined;
  if (scale === undefined) throw scaling.unsupported(key, Object.keys(ropeTypes).join(", "));
  return scale(plain, scaling);
}

export interface Rotation {
  /** float32 [b, s, size / 2] */
  readonly cos: Value;
  readonly sin: Value;
}

/** Cosines and sines for this step's positions, computed once and shared by all layers. */
export function emitRotation(e: Emitter, positions: Value, frequencies: Float32Array): Rotation {
  const table = e.graph.addConstant("rope.frequencies", Tensor.float32([1, 1, frequencies.length], frequencies));
  const floats = e.op("Cast", "rope.positions", [positions], { to: 1 });
  const angles = e.mul("rope.angles", e.op("Unsqueeze", "rope.column", [floats, e.int64([2])]), table);
  return { cos: e.op("Cos", "rope.cos", [angles]), sin: e.op("Sin", "rope.sin", [angles]) };
}

/** Rotates [b, s, heads x size], halves apart (transformers' rotate_half). */
export function rotate(e: Emitter, name: string, x: Value, rotation: Rotation, heads: number): Value {
  return e.op("RotaryEmbedding", name, [x, rotation.cos, rotation.sin], { num_heads: heads, interleaved: 0 });
}
