/** What the benchmark asks of a side, and what it answers. */

export interface SideRequest {
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly steer: boolean;
}

export interface SideResult {
  readonly promptMs: number;
  readonly decodeTokensPerSecond: number;
  /** From opening the folder to a session that can run. */
  readonly readyMs: number;
  readonly peakRssMb: number;
}

/** A side that can be asked for one measurement at a time. */
export interface Side {
  ask(request: SideRequest): Promise<SideResult>;
  close(): void;
}
