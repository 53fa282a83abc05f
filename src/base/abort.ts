/** Turns an AbortSignal into vene's coded error at the points where work can stop. */
import { VeneError } from "./errors.ts";

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new VeneError("aborted", "stopped by the caller's signal", { cause: signal.reason });
}
