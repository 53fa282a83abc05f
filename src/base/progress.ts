/** How long work reports itself: one callback, no printing. */

export interface ProgressEvent {
  /** What is being done, as a short phrase: "converting weights". */
  readonly phase: string;
  /** Done so far and in all, in `unit`; `total` is absent when unknown. */
  readonly done: number;
  readonly total?: number;
  readonly unit: "bytes" | "tokens" | "items";
}

export type ProgressListener = (event: ProgressEvent) => void;
