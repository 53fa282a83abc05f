/** What may be said of a version after it was published: withdrawn, given back, deprecated. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { type IndexLine, type Severity, severities, type Yank } from "../spec/registry-index.ts";
import { type Changed, changeRegistry } from "./change.ts";
import { IndexFile } from "./index-file.ts";
import type { LogRecord } from "./log.ts";
import { parseReference } from "./reference.ts";
import { configured, type RegistryOptions, registryOptionNames } from "./registries.ts";

export interface WithdrawOptions extends RegistryOptions {
  readonly by?: string | undefined;
  /** Default: now. */
  readonly at?: string | undefined;
  readonly pullRequest?: boolean | undefined;
}

export interface YankOptions extends WithdrawOptions {
  readonly reason: string;
  /** Default "broken". */
  readonly severity?: Severity | undefined;
  /** URL with more about it. */
  readonly advisory?: string | undefined;
}

const optionNames = ["by", "at", "pullRequest", ...registryOptionNames] as const;

/**
 * Withdraws "namespace/name@version": ranges pass over it, aliases to it are refused, and who names it exactly is told why.
 * Nothing is deleted. Throws `registry-missing`, `registry-usage`, `registry-conflict`.
 */
export async function yankIntervention(ref: string, options: YankOptions): Promise<Changed> {
  checkKeys("yank's options", options, ["reason", "severity", "advisory", ...optionNames], "usage");
  const { reason, severity = "broken", advisory } = options;
  checkReason(reason, "yank");
  if (!severities.includes(severity)) {
    throw new VeneError("registry-usage", `there is no severity ${JSON.stringify(severity)}`, {
      hint: `there are ${severities.join(", ")}`,
    });
  }
  const more = {
    ...(options.by === undefined ? {} : { by: options.by }),
    ...(advisory === undefined ? {} : { advisory }),
  };
  return changeLine(ref, options, {
    op: "yank",
    reason,
    apply: (line, at) => {
      const yanked: Yank = { at: line.yanked?.at ?? at, reason, severity, ...more };
      return { ...line, yanked };
    },
  });
}

/** Takes a withdrawal back. As {@link yankIntervention}. */
export async function unyankIntervention(ref: string, options: WithdrawOptions = {}): Promise<Changed> {
  checkKeys("unyank's options", options, optionNames, "usage");
  return changeLine(ref, options, { op: "unyank", apply: (line) => ({ ...line, yanked: null }) });
}

/** Says that something else should be used, or with null that this holds no longer; the version stays as it is. */
export async function deprecateIntervention(
  ref: string,
  options: WithdrawOptions & { readonly message: string | null },
): Promise<Changed> {
  checkKeys("deprecate's options", options, ["message", ...optionNames], "usage");
  const { message } = options;
  if (message !== null) checkReason(message, "deprecate");
  return changeLine(ref, options, {
    op: "deprecate",
    ...(message === null ? {} : { reason: message }),
    apply: (line) => ({ ...line, deprecated: message }),
  });
}

interface LineChange {
  readonly op: "yank" | "unyank" | "deprecate";
  readonly reason?: string;
  readonly apply: (line: IndexLine, at: string) => IndexLine;
}

async function changeLine(ref: string, options: WithdrawOptions, { op, reason, apply }: LineChange): Promise<Changed> {
  const reference = parseReference(ref);
  if (reference.form !== "name" || reference.selector.kind !== "version" || !reference.name.includes("/")) {
    throw new VeneError("registry-usage", `${JSON.stringify(ref)} is no version of a name`, {
      hint: 'write "namespace/name@1.2.0"',
      details: { ref },
    });
  }
  const { name, selector } = reference;
  const { registry, cacheFolder, hub, signal, pullRequest } = options;
  const at = options.at ?? new Date().toISOString();
  return changeRegistry(configured({ registry, cacheFolder, hub, signal }), {
    pullRequest,
    decide: async ({ snapshot }) => {
      const index = await IndexFile.read(snapshot, name);
      const line = index?.line(selector.version);
      if (index === undefined || line === undefined) {
        throw new VeneError("registry-missing", `the registry has no ${name}@${selector.version}`, {
          details: { ref },
        });
      }
      const changed = apply(line, at);
      if (JSON.stringify(changed) === JSON.stringify(line)) return undefined;
      index.set(changed);
      const record: LogRecord = { op, ref: `${name}@${line.version}`, digest: line.digest, at };
      const said = {
        ...(options.by === undefined ? {} : { by: options.by }),
        ...(reason === undefined ? {} : { reason }),
      };
      return {
        files: new Map(),
        index,
        records: [{ ...record, ...said }],
        message: `${titles[op]} ${name}@${line.version}`,
      };
    },
  });
}

const titles = { yank: "Yank", unyank: "Unyank", deprecate: "Deprecate" } as const;

function checkReason(reason: unknown, what: string): void {
  if (typeof reason === "string" && reason.trim() !== "" && reason.length <= 2000) return;
  throw new VeneError("registry-usage", `a ${what} needs a reason of up to 2000 characters`, {
    hint: "say what is wrong and what to use instead: whoever meets the version reads it",
  });
}
