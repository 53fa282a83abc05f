/** The weights of an SAE as the tensors of the kind that computes the same. */
import { VeneError } from "../base/errors.ts";
import { Tensor } from "../base/tensor.ts";
import { matrixOf, tensorOfMatrix, transposed } from "./matrix.ts";

/** W_enc [d, f], W_dec [f, d], b_enc [f], b_dec [d], and of a JumpReLU SAE threshold [f]. */
export interface SaeWeights {
  readonly encoder: Tensor;
  readonly decoder: Tensor;
  readonly encoderBias: Tensor;
  readonly decoderBias: Tensor;
  readonly threshold: Tensor | undefined;
}

/** What is done to the input x before the encoder. */
export interface SaeInput {
  /** b_dec is subtracted. */
  readonly centresByBias: boolean;
  /** x's mean is subtracted. */
  readonly centresByMean: boolean;
}

export interface SaeKind {
  readonly kind: "autoencoder" | "jumprelu-autoencoder";
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/**
 * Checks names and shapes. `expected`: what a config says. Throws `import-invalid` for a weight that is absent,
 * `import-unsupported` for one that other architectures have, `artefact-tensor` for a shape.
 */
export function saeWeights(
  found: ReadonlyMap<string, Tensor>,
  path: string,
  expected: { readonly jumps: boolean; readonly width: number | undefined; readonly latents: number | undefined },
): SaeWeights {
  // Gemma Scope has spelt the matrices in lower case, too.
  const tensors = new Map([...found].map(([name, tensor]) => [name.replace(/^w_/, "W_"), tensor]));
  const scale = tensors.get("scaling_factor");
  if (scale?.toFloat32().every((value) => value === 1) === true) tensors.delete("scaling_factor");
  const names = ["W_enc", "W_dec", "b_enc", "b_dec", ...(expected.jumps ? ["threshold"] : [])];
  const other = [...tensors.keys()].find((name) => !names.includes(name));
  if (other !== undefined) {
    throw new VeneError(
      "import-unsupported",
      `${path} holds ${JSON.stringify(other.slice(0, 80))}, which no kind has`,
      {
        hint: `of ${expected.jumps ? "a JumpReLU" : "a ReLU"} SAE vene reads ${names.join(", ")}`,
        details: { path, name: other.slice(0, 80) },
      },
    );
  }
  const of = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new VeneError("import-invalid", `${path} has no ${name}`, { details: { path, name } });
  };
  const [width = 0, latents = 0] = of("W_enc").shape;
  checkShape(path, "W_enc", of("W_enc"), [expected.width ?? width, expected.latents ?? latents]);
  checkShape(path, "W_dec", of("W_dec"), [latents, width]);
  checkShape(path, "b_enc", of("b_enc"), [latents]);
  checkShape(path, "b_dec", of("b_dec"), [width]);
  const threshold = expected.jumps ? of("threshold") : undefined;
  if (threshold !== undefined) checkShape(path, "threshold", threshold, [latents]);
  return {
    encoder: of("W_enc"),
    decoder: of("W_dec"),
    encoderBias: of("b_enc"),
    decoderBias: of("b_dec"),
    threshold,
  };
}

function checkShape(path: string, name: string, { shape }: Tensor, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i] && size > 0)) return;
  throw new VeneError("artefact-tensor", `${path}: ${name} is [${shape}], expected [${expected}]`, {
    details: { path, name, shape, expected },
  });
}

/**
 * A ReLU SAE that subtracts b_dec is pyvene's Autoencoder, which holds its matrices as torch does. All others become JumpReLU
 * (with thresholds of 0 that is ReLU), where what is subtracted from the input moves into the encoder: with C = 1 - 11'/d,
 * (C x - bd) We + be = x (C We) + (be - bd We).
 */
export function saeKind(weights: SaeWeights, input: SaeInput): SaeKind {
  const { encoder, decoder, encoderBias, decoderBias, threshold } = weights;
  if (threshold === undefined && input.centresByBias && !input.centresByMean) {
    const turned = (tensor: Tensor) => tensorOfMatrix(transposed(matrixOf(tensor)), tensor.dtype);
    const tensors = { encoder: turned(encoder), encoderBias, decoder: turned(decoder), decoderBias };
    return { kind: "autoencoder", tensors: new Map(Object.entries(tensors)) };
  }
  const latents = encoderBias.size;
  const tensors = {
    encoder: input.centresByMean ? withoutMean(encoder) : encoder,
    encoderBias: input.centresByBias ? shifted(encoderBias, decoderBias, encoder) : encoderBias,
    decoder,
    decoderBias,
    threshold: threshold ?? Tensor.float32([latents], new Float32Array(latents)),
  };
  return { kind: "jumprelu-autoencoder", tensors: new Map(Object.entries(tensors)) };
}

/** C We: every column less its mean. */
function withoutMean(encoder: Tensor): Tensor {
  const [width, latents] = encoder.shape as [number, number];
  const values = encoder.toFloat32().slice();
  const means = weightedRows(values, new Float32Array(width).fill(1 / width), latents);
  for (let i = 0; i < values.length; i++) values[i]! -= means[i % latents]!;
  return Tensor.float32([width, latents], values);
}

/** be - bd We */
function shifted(encoderBias: Tensor, decoderBias: Tensor, encoder: Tensor): Tensor {
  const taken = weightedRows(encoder.toFloat32(), decoderBias.toFloat32(), encoderBias.size);
  const values = encoderBias.toFloat32().map((value, latent) => value - taken[latent]!);
  return Tensor.float32([values.length], values);
}

/** weights x matrix, summed in double precision. */
function weightedRows(matrix: Float32Array, weights: Float32Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  weights.forEach((weight, row) => {
    for (let column = 0; column < columns; column++) sums[column]! += weight * matrix[row * columns + column]!;
  });
  return sums;
}
