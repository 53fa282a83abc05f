/** What a model is made of, whichever files it comes from. */
import type { ConfigReader } from "../arch/config.ts";
import type { ModelShape } from "../arch/family.ts";
import type { Sha256 } from "../base/brands.ts";
import type { GraphSource } from "./graph-source.ts";

export interface OpenedBase {
  /** Where config and tokenizer are. */
  readonly folder: string;
  readonly config: ConfigReader | undefined;
  readonly generation: ConfigReader | undefined;
  readonly architecture: string;
  readonly shape: ModelShape;
  readonly fingerprint: Sha256;
  /** Number of parameters, and the dtypes they are stored in. */
  readonly parameters: { readonly count: number; readonly dtypes: readonly string[] };
  readonly graphs: GraphSource;
}
