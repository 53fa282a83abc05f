/** Aliases: names such as "stable" for a version, moved at will and logged. */
import { VeneError } from "../base/errors.ts";
import { checkKeys } from "../base/known-keys.ts";
import { type Changed, changeRegistry } from "./change.ts";
import { documentBytes, readAliases } from "./documents.ts";
import { IndexFile } from "./index-file.ts";
import { aliasesPath, checkAlias, checkName, checkVersion } from "./names.ts";
import { configured, registryOptionNames } from "./registries.ts";
import type { WithdrawOptions } from "./withdraw.ts";

/**
 * Points an alias of a name at a version, or with null takes it away. Throws `registry-missing` for a version that is not there,
 * `registry-yanked` for a withdrawn one, `registry-usage`, `registry-conflict`.
 */
export async function setAlias(
  name: string,
  alias: string,
  version: string | null,
  options: WithdrawOptions = {},
): Promise<Changed> {
  checkKeys("alias's options", options, ["by", "at", "pullRequest", ...registryOptionNames], "usage");
  checkName(name);
  checkAlias(alias);
  if (version !== null) checkVersion(version);
  const { registry, cacheFolder, hub, signal, by, pullRequest } = options;
  const at = options.at ?? new Date().toISOString();
  return changeRegistry(configured({ registry, cacheFolder, hub, signal }), {
    pullRequest,
    decide: async ({ snapshot }) => {
      const { [alias]: before, ...others } = await readAliases(snapshot, name);
      const index = await IndexFile.read(snapshot, name);
      if (version !== null) checkTarget(name, version, index);
      if ((before ?? null) === version) return undefined;
      const aliases = version === null ? others : { ...others, [alias]: version };
      const sorted = Object.fromEntries(Object.entries(aliases).sort(([a], [b]) => (a < b ? -1 : 1)));
      const record = { op: "alias", ref: name, at, ...(by === undefined ? {} : { by }), alias } as const;
      return {
        files: new Map([[aliasesPath(name), documentBytes(sorted)]]),
        records: [{ ...record, from: before ?? null, to: version }],
        message: version === null ? `Remove ${name}@${alias}` : `Point ${name}@${alias} at ${version}`,
      };
    },
  });
}

function checkTarget(name: string, version: string, index: IndexFile | undefined): void {
  const line = index?.line(version);
  if (line === undefined) {
    throw new VeneError("registry-missing", `the registry has no ${name}@${version}`, { details: { name, version } });
  }
  if (line.yanked === null) return;
  throw new VeneError("registry-yanked", `${name}@${version} was withdrawn: ${line.yanked.reason}`, {
    hint: "point the alias at another version",
    details: { name, version },
  });
}
