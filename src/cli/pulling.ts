/** What every command that may pull from the Hub hands to the library: its environment, Ctrl-C, progress. */
import type { LocateOptions, ProgressEvent } from "../index.ts";
import type { CommandContext } from "./io.ts";
import type { Progress } from "./progress.ts";

/** While bytes arrive Ctrl-C ends the download in order rather than the process. */
export function pullingOptions(
  { env, interrupt }: CommandContext,
  progress: Progress,
): Required<Pick<LocateOptions, "hub" | "signal" | "onProgress">> {
  return {
    hub: { variables: env },
    signal: interrupt.signal,
    onProgress: (event: ProgressEvent) => {
      interrupt.hold();
      progress.report(event);
    },
  };
}
