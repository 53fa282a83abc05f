/** The public API of vene, by name. */

export { type ModelDType, modelDTypes } from "./arch/quantised-dtypes.ts";
export type { Place } from "./arch/sites.ts";
export type { Artefact } from "./artefact/artefact.ts";
export { type ImportSaeOptions, importSae, isSae } from "./artefact/import-sae.ts";
export { type ImportVectorsOptions, importVectorDict } from "./artefact/import-vectors.ts";
export { pyveneFit, writePyvene } from "./artefact/pyvene-write.ts";
export { type ReadArtefact, writeArtefact } from "./artefact/read.ts";
export { type SizeFacts, sizeFacts } from "./artefact/size-facts.ts";
export type { DType } from "./base/dtype.ts";
export { type ErrorCode, errorCodes } from "./base/error-codes.ts";
export { type ErrorDetails, VeneError } from "./base/errors.ts";
export type { ProgressEvent, ProgressListener } from "./base/progress.ts";
export { Tensor } from "./base/tensor.ts";
export { type TensorFile, withTensorFile } from "./formats/tensor-file.ts";
export type { Builder } from "./graph/builder.ts";
export { Float, type Value } from "./graph/ir.ts";
export { pruneCache, type Removed, type RemoveOptions, removeFromCache } from "./hub/cache-remove.ts";
export {
  type CachedFile,
  type CachedRepo,
  type CachedRevision,
  type CacheOptions,
  listCache,
} from "./hub/cache-scan.ts";
export { type VerifiedRepo, type VerifyOptions, verifyCache } from "./hub/cache-verify.ts";
export type { HubOptions } from "./hub/environment.ts";
export { type Located, type LocateOptions, locateArtefact } from "./hub/locate.ts";
export { type Pulled, type PulledFile, type PullOptions, pullArtefact, pullModel } from "./hub/pull.ts";
export type { Identity, ListedRepo, ListOptions } from "./hub/verbs.ts";
export { type HubCallOptions, listInterventions, login, logout, whoami } from "./hub/verbs-account.ts";
export {
  type DefinedIntervention,
  defineIntervention,
  type InterventionDefinition,
} from "./interventions/definitions.ts";
export type { OperatorValues } from "./interventions/kind.ts";
export { setAlias } from "./registry/alias.ts";
export type { FileDigest } from "./registry/artefact-files.ts";
export { type PackedBundle, packBundle } from "./registry/bundle-pack.ts";
export { type UnpackedBundle, type UnpackOptions, unpackBundle } from "./registry/bundle-unpack.ts";
export type { Changed } from "./registry/change.ts";
export { type CheckedRegistry, checkRegistry } from "./registry/check.ts";
export { configFolder, signingPlaces } from "./registry/config-folder.ts";
export { type InitOptions, initRegistry } from "./registry/init.ts";
export {
  type InstalledIntervention,
  type InstallOptions,
  installIntervention,
  installLocked,
} from "./registry/install-named.ts";
export { IntervenableModel, type LoadInterventionOptions } from "./registry/intervenable-model.ts";
export {
  type LocateInterventionOptions,
  locateIntervention,
} from "./registry/locate.ts";
export type { LocatedIntervention } from "./registry/locked.ts";
export { type PublishedRelease, type PublishOptions, publishIntervention } from "./registry/publish.ts";
export type { RegistryOptions } from "./registry/registries.ts";
export { type ResolvedRelease, type ResolveOptions, resolveIntervention } from "./registry/resolve.ts";
export {
  type FoundIntervention,
  type SearchOptions,
  type SearchResult,
  searchInterventions,
} from "./registry/search.ts";
export type { BaseFilter } from "./registry/select.ts";
export { type SignOptions, signArtefact, type VerifySignatureOptions, verifySignature } from "./registry/signing.ts";
export {
  addKey,
  type ListedKey,
  listKeys,
  newKey,
  publisherKeyOf,
  readSigningKey,
  readVerifyingKey,
  type SigningKey,
  type VerifyingKey,
} from "./registry/signing-keys.ts";
export { type KeyPin, pinKey, readPins } from "./registry/signing-pins.ts";
export {
  checkSignature,
  type SignatureAnswer,
  type SignaturePolicies,
  type SignaturePolicy,
  type SignatureQuestion,
  signaturePolicies,
} from "./registry/signing-policy.ts";
export {
  type FileState,
  type InstalledFile,
  type InstalledReport,
  verifyInstalled,
} from "./registry/verify-installed.ts";
export { type ReplayedAnswer, type RunReport, verifyRun } from "./registry/verify-run.ts";
export {
  deprecateIntervention,
  unyankIntervention,
  type WithdrawOptions,
  type YankOptions,
  yankIntervention,
} from "./registry/withdraw.ts";
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
export type { TensorLike } from "./runtime/intervenable/config-tensors.ts";
export type { ForwardInput, ForwardOutput, ForwardResult } from "./runtime/intervenable/forward.ts";
export type { BatchInput, TensorInputs, TokenBatch } from "./runtime/intervenable/inputs.ts";
export type {
  SaveOptions,
  SteeredGenerateOptions,
} from "./runtime/intervenable/intervenable-model.ts";
export type { UnitLocations } from "./runtime/intervenable/locations.ts";
export type { NamedPositions } from "./runtime/intervenable/named-positions.ts";
export type { SaveInterventionOptions } from "./runtime/intervenable/save-intervention.ts";
export type { SourceRepresentations } from "./runtime/intervenable/source-representations.ts";
export type { Subspaces } from "./runtime/intervenable/subspaces.ts";
export { type LoadModelOptions, loadModel, type Model } from "./runtime/model.ts";
export { type Perplexity, type PerplexityOptions, perplexity } from "./runtime/perplexity.ts";
export type { Prompt } from "./runtime/prompts.ts";
export { type PushArtefactOptions, type PushedArtefact, pushArtefact } from "./runtime/push-artefact.ts";
export { readArtefact } from "./runtime/read-artefact.ts";
export { type HubServer, type HubServerOptions, startHub } from "./server/hub-server.ts";
export { type HubToken, mintToken, type Role } from "./server/identity.ts";
export type { HubLimits } from "./server/limits.ts";
export { parseHubTokens } from "./server/token-file.ts";
export type { Intervention, Strength } from "./spec/intervention.ts";
export type { Activation, KindSpec, TensorRole } from "./spec/kind-spec.ts";
export { type Kind, kindSpecs, kinds, type PyveneClass } from "./spec/kinds.ts";
export { type Base, type Evaluation, type Expected, type Manifest, parseManifest } from "./spec/manifest.ts";
export type { IndexLine, SearchRow, Severity, Source } from "./spec/registry-index.ts";
export type { PublisherKey, PublisherKeys } from "./spec/registry-keys.ts";
export type { LockedDirect, LockedRelease } from "./spec/registry-lockfile.ts";
export type { Digest } from "./spec/registry-names.ts";
export type { Release, ReleaseFile } from "./spec/registry-release.ts";
export { type Component, components, formatSite, parseSite, type Site } from "./spec/sites.ts";
export { formatTokensPolicy, parseTokensPolicy, type TokensPolicy } from "./spec/tokens.ts";
