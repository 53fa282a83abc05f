/** What the benchmark asks of a side, and what it answers. */

/** What a vene process is set up for: nothing, an addition or a LoReFT at every layer, or two patches from two sources. */
export type SideKind = "plain" | "addition" | "loreft" | "patch";

export interface SideRequest {
  /** "forward": the base, the base as it is, and two sources, all of `promptTokens`; `newTokens` does not matter then. */
  readonly work: "generate" | "forward";
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly steer: boolean;
}

export interface SideResult {
  readonly promptMs: number;
  readonly decodeTokensPerSecond: number;
  /** 0 unless the work was a forward. */
  readonly forwardMs: number;
  /** From opening the folder to a session that can run. */
  readonly readyMs: number;
  readonly peakRssMb: number;
}

/** A side that can be asked for one measurement at a time. */
export interface Side {
  ask(request: SideRequest): Promise<SideResult>;
  close(): void;
}
