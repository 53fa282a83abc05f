/** What sessions are made of: graphs with points in them, compiled from a checkpoint or taken from a file that others exported. */
import type { SiteTable } from "../arch/sites.ts";
import type { Point } from "../interventions/points.ts";

export interface SessionGraph {
  /** An ONNX model whose weights are in files. */
  readonly bytes: Uint8Array;
  /** Folder that the names of those files are relative to. */
  readonly weightsFolder: string;
}

export interface GraphSource {
  /** The places that points can be at. */
  readonly sites: SiteTable;
  /** Bytes of weights that a session holds. */
  readonly weightBytes: number;
  /** The graph instrumented at the points. Throws `site-unknown` for a value it lacks. */
  build(points: readonly Point[]): Promise<SessionGraph>;
}
