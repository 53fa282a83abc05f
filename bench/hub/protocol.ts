/** What the Hub benchmark asks of a client process, and what it answers. */

/** vene; @huggingface/hub's snapshotDownload and uploadFiles; its downloadFileToCacheDir, for a single file. */
export type Client = "vene" | "js" | "js-file";

/** How to reach the server. */
export interface HubAccess {
  readonly url: string;
  readonly token: string;
}

export interface HubTask {
  readonly work: "pull" | "push";
  /** "org/name"; a push makes it. */
  readonly repo: string;
  /** Of a pull: the cache to fill, empty so far. Of a push: the folder whose files are sent. */
  readonly folder: string;
  /** Of a push. */
  readonly files: readonly string[];
}

export interface HubResult {
  readonly seconds: number;
  /** Of all of the process's threads, in user and system mode: unlike the time on the clock hardly moved by other work. */
  readonly cpuSeconds: number;
  /** Of the process so far. */
  readonly peakRssMb: number;
}

/** A client that can be asked for one pull or push at a time. */
export interface HubSide {
  ask(task: HubTask): Promise<HubResult>;
  close(): void;
}
