/** What the state dicts of pyvene's and pyreft's classes hold, kind by kind; reading and writing both follow this table. */
import { type Kind, kindSpecOf } from "../spec/kinds.ts";

/** One entry of a state dict. */
export type StateEntry =
  /** A tensor as it is. `half`: pyreft makes the module bfloat16, whatever is loaded into it. */
  | { readonly key: string; readonly role: string; readonly optional?: true; readonly half?: true }
  /** A scalar that is a named parameter here. */
  | { readonly key: string; readonly parameter: string }
  /** What torch's orthogonal parametrisation keeps of a weight: `key`.original and `key`.0.base. */
  | { readonly key: string; readonly orthogonal: string }
  /** Numbers from 0 to n - 1, which say nothing. */
  | { readonly key: string; readonly counts: true }
  /** An empty tensor that load wants to find. */
  | { readonly key: string; readonly placeholder: true };

export interface StateLayout {
  /** Parameters and buffers of the class's own, which come before embed_dim and interchange_dim. */
  readonly own?: readonly StateEntry[];
  /** What comes after these: a constant source, and what submodules have. */
  readonly after?: readonly StateEntry[];
  /** No embed_dim and interchange_dim. */
  readonly bare?: true;
  /** What interchange_dim is: how many leading features, which features, or nothing that the class looks at. */
  readonly interchange: "prefix" | "index" | "unused";
  /** Whether pyvene calls the source constant even without one. */
  readonly constant?: true;
  /** Symbol of the size that pyvene keeps as low_rank_dimension. */
  readonly rank?: "r" | "f";
  /** Symbol of the size that pyvene keeps as latent_dim. */
  readonly latents?: "f";
}

const source: StateEntry = { key: "source_representation", role: "source", optional: true };
const affine: StateLayout = { after: [source], interchange: "prefix" };
const rotation: StateEntry = { key: "rotate_layer.parametrizations.weight", orthogonal: "rotation" };
const temperature: StateEntry = { key: "temperature", parameter: "temperature" };
const reft = { interchange: "unused", constant: true, rank: "r" } as const;
const linear = (key: string, half?: true): readonly StateEntry[] => [
  { key: `${key}.weight`, role: "weight", ...(half && { half }) },
  { key: `${key}.bias`, role: "bias", ...(half && { half }) },
];
const projected: StateLayout = {
  ...reft,
  after: [
    { key: "proj_layer.weight", role: "projection" },
    { key: "proj_layer.bias", role: "projectionBias", optional: true },
    ...linear("learned_source"),
  ],
};
const subspaceBias: StateLayout = { ...reft, own: [{ key: "learned_source", role: "bias" }], after: [rotation] };

/** Order is that of pyvene's state_dict(). undefined: pyvene has no such class. */
const layouts = {
  vanilla: affine,
  addition: affine,
  subtraction: affine,
  zero: { interchange: "prefix", constant: true },
  // pyvene writes no file for a collect and then cannot load its own folder: load opens that file.
  collect: { after: [{ key: "source_representation", placeholder: true }], interchange: "prefix", constant: true },
  noise: { interchange: "prefix", constant: true },
  skip: { interchange: "prefix" },
  "rotated-space": { after: [rotation], interchange: "prefix" },
  "low-rank-rotated-space": { after: [rotation], interchange: "unused", rank: "r" },
  "boundless-rotated-space": {
    own: [
      { key: "intervention_boundaries", role: "boundary" },
      temperature,
      { key: "intervention_population", counts: true },
    ],
    after: [rotation],
    interchange: "unused",
  },
  "sigmoid-mask-rotated-space": {
    own: [{ key: "masks", role: "masks" }, temperature],
    after: [rotation],
    interchange: "unused",
  },
  "sigmoid-mask": { own: [{ key: "mask", role: "mask" }, temperature], interchange: "unused" },
  "pca-rotated-space": {
    own: [
      { key: "pca_components", role: "components" },
      { key: "pca_mean", role: "mean" },
      { key: "pca_std", role: "std" },
    ],
    after: [source],
    interchange: "prefix",
  },
  autoencoder: {
    after: [
      { key: "autoencoder.encoder.0.weight", role: "encoder" },
      { key: "autoencoder.encoder.0.bias", role: "encoderBias" },
      { key: "autoencoder.decoder.0.weight", role: "decoder" },
      { key: "autoencoder.decoder.0.bias", role: "decoderBias" },
    ],
    interchange: "index",
    latents: "f",
  },
  "jumprelu-autoencoder": {
    own: [
      { key: "W_enc", role: "encoder" },
      { key: "W_dec", role: "decoder" },
      { key: "threshold", role: "threshold" },
      { key: "b_enc", role: "encoderBias" },
      { key: "b_dec", role: "decoderBias" },
    ],
    interchange: "prefix",
    rank: "f",
  },
  loreft: {
    ...reft,
    own: [
      { key: "weight", role: "weight", half: true },
      { key: "bias", role: "bias", half: true },
      { key: "rotate_layer", role: "rotation" },
    ],
    bare: true,
  },
  noreft: projected,
  consreft: subspaceBias,
  lobireft: subspaceBias,
  direft: { ...reft, after: [rotation, ...linear("learned_source", true)] },
  nodireft: projected,
  lora: undefined,
  custom: undefined,
} as const satisfies { readonly [K in Kind]: StateLayout | undefined };

/** undefined for kinds that pyvene has no class for. */
export function layoutOf(kind: Kind): StateLayout | undefined {
  return layouts[kind];
}

/** The entries of a kind's state dict in order, without embed_dim and interchange_dim. */
export function entriesOf(kind: Kind): readonly StateEntry[] {
  const { own = [], after = [] } = layoutOf(kind) ?? {};
  return [...own, ...after];
}

/** The keys that an entry takes in a state dict. */
export function keysOf(entry: StateEntry): readonly string[] {
  return "orthogonal" in entry ? [`${entry.key}.original`, `${entry.key}.0.base`] : [entry.key];
}

/** Whether a class has tensors of its own, which its file must hold. */
export function isTrained(kind: Kind): boolean {
  return kindSpecOf(kind).trainable.length > 0;
}
