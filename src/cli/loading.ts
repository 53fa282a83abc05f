/** Opens models for commands: with progress, and with Ctrl-C held while downloads or converted weights are being written. */
import type { LoadModelOptions, Model, ProgressEvent } from "../index.ts";
import type { CommandContext } from "./io.ts";
import type { Progress } from "./progress.ts";

/** Sessions over more float32 weights than this take about a second. */
const LONG_BYTES = 256e6;

/** `loadModel` of a folder or a Hub id; conversion and session come later, with the first run or warmUp, and report here, too. */
export async function openModel(
  source: string,
  context: CommandContext,
  progress: Progress,
  options: Pick<LoadModelOptions, "threads" | "dtype"> = {},
): Promise<Model> {
  const { loadModel, VeneError } = await import("../index.ts");
  const { interrupt, env } = context;
  const cacheFolder = env["VENE_CACHE"];
  const onProgress = (event: ProgressEvent) => {
    const writing = event.unit === "bytes";
    progress.report(event, !writing && 4 * model.parameters.count > LONG_BYTES);
    if (writing) return interrupt.hold();
    // From here on native code keeps the event loop busy: Ctrl-C has to work without it.
    interrupt.letGo();
    if (interrupt.signal.aborted) throw new VeneError("aborted", "interrupted");
  };
  const model = await loadModel(source, {
    ...options,
    ...(cacheFolder ? { cacheFolder } : {}),
    hub: { variables: env },
    signal: interrupt.signal,
    onProgress,
  });
  return model;
}
