/** What users name is a folder of theirs or a repository on the Hub. The folder wins; an error names both readings. */
import { stat } from "node:fs/promises";
import { VeneError } from "../base/errors.ts";
import { type Pulled, type PullOptions, pullArtefact, pullModel } from "./pull.ts";
import { looksLikeRepo } from "./repo-id.ts";

export type LocateOptions = Omit<PullOptions, "dryRun">;

export interface Located {
  /** Where the files are. */
  readonly folder: string;
  /** What it was pulled as; undefined for the user's own folder. */
  readonly pulled: Pulled | undefined;
}

/** The folder of an intervention, pulled if need be. Throws `file-missing`, and what {@link pullArtefact} throws. */
export function locateArtefact(source: string, options: LocateOptions = {}): Promise<Located> {
  return locate(source, pullArtefact, options);
}

/** The folder of a checkpoint, pulled if need be. Throws `file-missing`, and what {@link pullModel} throws. */
export function locateModel(source: string, options: LocateOptions = {}): Promise<Located> {
  return locate(source, pullModel, options);
}

async function locate(source: string, pull: typeof pullArtefact, options: LocateOptions): Promise<Located> {
  const status = typeof source === "string" ? await stat(source).catch(() => undefined) : undefined;
  if (status !== undefined) {
    if (options.revision === undefined) return { folder: source, pulled: undefined };
    throw new VeneError("usage", `${source} is a path on this machine, which has no revision ${options.revision}`, {
      hint: "give a Hub id, or leave the revision out",
      details: { path: source, revision: options.revision },
    });
  }
  if (typeof source !== "string" || !looksLikeRepo(source)) {
    throw new VeneError("file-missing", `there is no ${typeof source === "string" ? source : JSON.stringify(source)}`, {
      hint: 'give an existing path, or an id on the Hub: "org/name" or "org/name@v1"',
      details: { path: source },
    });
  }
  try {
    const pulled = await pull(source, options);
    return { folder: pulled.folder, pulled };
  } catch (thrown) {
    if (!(thrown instanceof VeneError) || !sourceUnknown.has(thrown.code)) throw thrown;
    const { code, message, hint, details, cause } = thrown;
    throw new VeneError(code, `there is no ${source} on this machine, and as an id on the Hub: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      details,
      cause,
    });
  }
}

/** Failures that a misspelt path explains as well as anything about the Hub. */
const sourceUnknown: ReadonlySet<string> = new Set(["hub-not-found", "hub-offline", "hub-unreachable"]);
