/** Kinds that exchange latents of an autoencoder (SAE). What the autoencoder cannot reconstruct is lost, as in pyvene. */
import { constantSource, type KindSpec, noParameters, role } from "./kind-spec.ts";

const own = {
  pyveneModule: "pyvene.models.interventions",
  constantSource: "optional",
  strength: "blend",
  features: "f",
  parameters: noParameters,
} as const;

/** z(x) = latents of x. `dimension` and subspaces choose the latents taken from the source. */
export const autoencoderKinds = {
  autoencoder: {
    ...own,
    units: "together",
    description: "z(x) = relu(We (x - bd) + be); the chosen latents of z(b) are exchanged for z(s)'s; Wd z + bd",
    pyveneClass: "AutoencoderIntervention",
    tensors: {
      encoder: role("[f, n]", "We"),
      encoderBias: role("[f]", "be"),
      decoder: role("[n, f]", "Wd"),
      decoderBias: role("[n]", "bd"),
      source: constantSource,
    },
    trainable: ["encoder", "encoderBias", "decoder", "decoderBias"],
  },
  "jumprelu-autoencoder": {
    ...own,
    units: "each",
    description: "p = x We + be, z(x) = relu(p) where p > threshold, else 0; chosen latents exchanged; z Wd + bd",
    pyveneClass: "JumpReLUAutoencoderIntervention",
    tensors: {
      encoder: role("[d, f]", "We (W_enc)"),
      encoderBias: role("[f]", "be (b_enc)"),
      decoder: role("[f, d]", "Wd (W_dec)"),
      decoderBias: role("[d]", "bd (b_dec)"),
      threshold: role("[f]", "a latent below it is 0"),
      source: constantSource,
    },
    trainable: ["encoder", "encoderBias", "decoder", "decoderBias", "threshold"],
  },
} as const satisfies Readonly<Record<string, KindSpec>>;
