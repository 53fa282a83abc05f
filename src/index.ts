/** The public API of vene, by name. */

export type { Place } from "./arch/sites.ts";
export type { Artefact } from "./artefact/artefact.ts";
export { type ImportVectorsOptions, importVectorDict } from "./artefact/import-vectors.ts";
export { writePyvene } from "./artefact/pyvene-write.ts";
export { type ReadArtefact, readArtefact, writeArtefact } from "./artefact/read.ts";
export type { DType } from "./base/dtype.ts";
export { type ErrorCode, errorCodes } from "./base/error-codes.ts";
export { type ErrorDetails, VeneError } from "./base/errors.ts";
export type { ProgressEvent, ProgressListener } from "./base/progress.ts";
export { Tensor } from "./base/tensor.ts";
export { type TensorFile, withTensorFile } from "./formats/tensor-file.ts";
export type { ChatMessage } from "./runtime/chat.ts";
export type {
  CollectedRow,
  FinishReason,
  GenerateOptions,
  Generation,
  GenerationPiece,
  GenerationStream,
} from "./runtime/generation-stream.ts";
export type { IntervenableConfig, RepresentationConfig } from "./runtime/intervenable/config.ts";
export type { ForwardInput, ForwardOutput, ForwardResult } from "./runtime/intervenable/forward.ts";
export type { BatchInput, TokenBatch } from "./runtime/intervenable/inputs.ts";
export {
  IntervenableModel,
  type LoadInterventionOptions,
  type SaveOptions,
  type SteeredGenerateOptions,
} from "./runtime/intervenable/intervenable-model.ts";
export type { UnitLocations } from "./runtime/intervenable/locations.ts";
export type { Subspaces } from "./runtime/intervenable/subspaces.ts";
export { type LoadModelOptions, loadModel, type Model } from "./runtime/model.ts";
export type { Prompt } from "./runtime/prompts.ts";
export type { Intervention, Strength } from "./spec/intervention.ts";
export { type Kind, kindSpecs, kinds } from "./spec/kinds.ts";
export { type Base, type Evaluation, type Expected, type Manifest, parseManifest } from "./spec/manifest.ts";
export { type Component, components, formatSite, parseSite, type Site } from "./spec/sites.ts";
export { formatTokensPolicy, parseTokensPolicy, type TokensPolicy } from "./spec/tokens.ts";
