/** The only file that imports onnxruntime-node: sessions over graphs in memory whose weights stay in files. */
import { messageOf, VeneError } from "../base/errors.ts";
import { importWithoutFloat16Array } from "./float16-array.ts";

/** A tensor as onnxruntime takes and gives it. float16 numbers are their bits. */
export type Feed =
  | { readonly dtype: "float16"; readonly data: Uint16Array; readonly shape: readonly number[] }
  | { readonly dtype: "float32"; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly dtype: "int64"; readonly data: BigInt64Array; readonly shape: readonly number[] }
  | { readonly dtype: "bool"; readonly data: Uint8Array; readonly shape: readonly number[] };

export type Feeds = Readonly<Record<string, Feed>>;

export interface Result {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export interface SessionOptions {
  /** Folder that the graph's external data locations are relative to. */
  readonly weightsFolder: string;
  /** Threads inside an op; default: onnxruntime's (one per core). */
  readonly threads?: number | undefined;
  /** For who only wants to know its types: nothing is optimised, and no weight is packed. */
  readonly unprepared?: boolean;
}

/** What onnxruntime infers of an output; sizes that it does not know have names, perhaps "". */
export interface OutputType {
  /** onnxruntime's name of the element type: "float32", "int64", "string"... */
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

type Ort = typeof import("onnxruntime-node");

let loading: Promise<Ort> | undefined;

/** Loaded on first use: importing vene, or `vene --help`, costs nothing. */
function loadOrt(): Promise<Ort> {
  loading ??= importWithoutFloat16Array(() => import("onnxruntime-node"));
  return loading;
}

export class Session {
  readonly #ort: Ort;
  readonly #session: import("onnxruntime-node").InferenceSession;
  /** Names of the inputs that a run must be fed. */
  readonly inputs: ReadonlySet<string>;
  #tail: Promise<unknown> = Promise.resolve();
  #released = false;

  private constructor(ort: Ort, session: import("onnxruntime-node").InferenceSession) {
    this.#ort = ort;
    this.#session = session;
    this.inputs = new Set(session.inputNames);
  }

  /** Types of the outputs that are tensors. */
  outputTypes(): ReadonlyMap<string, OutputType> {
    const tensors = this.#session.outputMetadata.flatMap((output) => (output.isTensor ? [output] : []));
    return new Map(tensors.map(({ name, type, shape }) => [name, { type, shape }]));
  }

  /** Throws `runtime-failed` with onnxruntime's own words. Blocks the event loop while weights are prepared. */
  static async create(graph: Uint8Array, options: SessionOptions): Promise<Session> {
    const ort = await loadOrt();
    try {
      const session = await ort.InferenceSession.create(graph, {
        executionProviders: ["cpu"],
        graphOptimizationLevel: options.unprepared === true ? "disabled" : "all",
        logSeverityLevel: 4,
        ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
        // Without force_spinning_stop the idle threads of one session fight the next one's.
        extra: {
          session: {
            force_spinning_stop: "1",
            model_external_initializers_file_folder_path: options.weightsFolder,
            ...(options.unprepared === true ? { disable_prepacking: "1" } : {}),
          },
        },
      });
      return new Session(ort, session);
    } catch (cause) {
      throw runtimeFailure("onnxruntime refused the graph", cause);
    }
  }

  /** Runs once, after runs already asked for. Fetches only what is named. Throws `runtime-failed` or `released`. */
  run(feeds: Feeds, fetches: readonly string[]): Promise<Readonly<Record<string, Result>>> {
    const result = this.#tail.then(() => this.#run(feeds, fetches));
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #run(feeds: Feeds, fetches: readonly string[]): Promise<Readonly<Record<string, Result>>> {
    if (this.#released) throw new VeneError("released", "the session was released");
    const { Tensor } = this.#ort;
    const inputs: Record<string, import("onnxruntime-node").Tensor> = {};
    for (const [name, feed] of Object.entries(feeds))
      inputs[name] = new Tensor(feed.dtype, feed.data as never, feed.shape);
    try {
      const outputs = await this.#session.run(inputs, [...fetches], { logSeverityLevel: 4 });
      const results: Record<string, Result> = {};
      for (const name of fetches)
        results[name] = { data: outputs[name]!.data as Float32Array, shape: outputs[name]!.dims };
      return results;
    } catch (cause) {
      throw runtimeFailure("onnxruntime failed while running", cause);
    }
  }

  /** Frees the memory after the runs already asked for. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#tail;
    await this.#session.release();
  }
}

function runtimeFailure(what: string, cause: unknown): VeneError {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: onnxruntime colours its messages
  const text = messageOf(cause).replace(/\u001b\[[0-9;]*m/g, "");
  return new VeneError("runtime-failed", `${what}: ${text}`, { cause });
}
