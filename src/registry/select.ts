/** Picks the version that a selector means among the lines of a name. Nothing is read here but the lines and the aliases. */
import { VeneError } from "../base/errors.ts";
import type { Base } from "../spec/manifest.ts";
import type { Aliases, IndexLine } from "../spec/registry-index.ts";
import type { IndexFile } from "./index-file.ts";
import type { Selector } from "./reference.ts";
import { compareVersions, isPrerelease, satisfies } from "./semver.ts";

/** What the model is that the intervention will be put on; what is left out fits anything. */
export type BaseFilter = Partial<Pick<Base, "architecture" | "layers" | "hiddenSize">>;

export interface Selected {
  readonly line: IndexLine;
  readonly notices: readonly string[];
}

/**
 * The line that is meant. A withdrawn version is passed over by ranges, refused through aliases, and given with a notice where
 * it is named exactly. Throws `registry-missing`, `registry-yanked`, `registry-mismatch`, `registry-invalid`.
 */
export function select(index: IndexFile, aliases: Aliases, selector: Selector, filter: BaseFilter = {}): Selected {
  const line = pick(index, aliases, selector);
  checkBase(index, line, filter);
  return { line, notices: [...index.notices, ...warnings(line)] };
}

type Of<K extends Selector["kind"]> = Extract<Selector, { readonly kind: K }>;

const picks = {
  digest: (index, _, { digest }) => byDigest(index, digest),
  version: (index, _, { version }) => index.line(version) ?? fail(index, `no version ${version}`),
  alias: (index, aliases, { alias }) => byAlias(index, aliases, alias),
  range: (index, _, { range, text }) => highest(index, (version) => satisfies(version, range), `no version in ${text}`),
  newest: (index, aliases) => newest(index, aliases),
} as const satisfies { [K in Selector["kind"]]: (index: IndexFile, aliases: Aliases, selector: Of<K>) => IndexLine };

function pick(index: IndexFile, aliases: Aliases, selector: Selector): IndexLine {
  const one = picks[selector.kind] as (index: IndexFile, aliases: Aliases, selector: Selector) => IndexLine;
  return one(index, aliases, selector);
}

function newest(index: IndexFile, aliases: Aliases): IndexLine {
  if (Object.hasOwn(aliases, "latest")) return byAlias(index, aliases, "latest");
  return highest(index, (version) => !isPrerelease(version), "no stable version");
}

function byDigest(index: IndexFile, digest: string): IndexLine {
  const version = index.versionOf(digest);
  return version === undefined ? fail(index, `no release ${digest}`) : index.line(version)!;
}

function byAlias(index: IndexFile, aliases: Aliases, alias: string): IndexLine {
  const version = Object.hasOwn(aliases, alias) ? aliases[alias] : undefined;
  if (version === undefined) {
    const known = Object.keys(aliases);
    return fail(index, `no alias ${alias}${known.length === 0 ? "" : ` (there are ${known.slice(0, 20).join(", ")})`}`);
  }
  const line = index.line(version);
  if (line === undefined) {
    throw new VeneError("registry-invalid", `${index.name}@${alias} is ${version}, which the registry does not have`, {
      hint: "the registry is being written, or damaged: try again, or tell who runs it",
      details: { name: index.name, alias, version },
    });
  }
  if (line.yanked !== null) throw yanked(index, `${index.name}@${alias} is ${version}, which was withdrawn`, line);
  return line;
}

/** Newest first, as the highest is mostly there: only lines that could be it are parsed. */
function highest(index: IndexFile, fits: (version: string) => boolean, none: string): IndexLine {
  let best: IndexLine | undefined;
  let withdrawn: IndexLine | undefined;
  for (const version of index.versions.toReversed()) {
    if (!fits(version) || (best !== undefined && compareVersions(version, best.version) < 0)) continue;
    const line = index.line(version)!;
    if (line.yanked === null) best = line;
    else if (withdrawn === undefined || compareVersions(version, withdrawn.version) > 0) withdrawn = line;
  }
  if (best !== undefined) return best;
  if (withdrawn === undefined) return fail(index, none);
  throw yanked(index, `every version of ${index.name} that would do was withdrawn`, withdrawn);
}

function fail(index: IndexFile, what: string): never {
  const shown = index.descending.slice(0, 10);
  throw new VeneError("registry-missing", `${index.name} has ${what}`, {
    hint: `there are ${shown.join(", ")}${index.versions.length > shown.length ? " and older ones" : ""}`,
    details: { name: index.name, versions: shown },
  });
}

function yanked(index: IndexFile, message: string, line: IndexLine): VeneError {
  const { reason, severity, advisory } = line.yanked!;
  const more = advisory === undefined ? "" : `; see ${advisory}`;
  return new VeneError("registry-yanked", `${message}: ${reason} (${severity})${more}`, {
    hint: `choose another version, or name it exactly to use it all the same: ${index.name}@${line.version}`,
    details: { name: index.name, version: line.version, yanked: line.yanked },
  });
}

function warnings({ name, version, yanked, deprecated }: IndexLine): string[] {
  const notices: string[] = [];
  if (yanked !== null) notices.push(`${name}@${version} was withdrawn: ${yanked.reason} (${yanked.severity})`);
  if (deprecated !== null) notices.push(`${name}@${version} is deprecated: ${deprecated}`);
  return notices;
}

const compared = ["architecture", "layers", "hiddenSize"] as const;

/** The first thing in which a base differs from the model; undefined where it fits. */
function misfit({ base }: IndexLine, filter: BaseFilter): string | undefined {
  for (const key of compared) {
    const [made, given] = [base[key], filter[key] ?? null];
    if (made !== null && given !== null && made !== given) return `${key} ${made}, not ${given}`;
  }
  return undefined;
}

const MAX_TRIED = 2000;

/** Another version is never taken instead: it is only named. */
function checkBase(index: IndexFile, line: IndexLine, filter: BaseFilter): void {
  const why = misfit(line, filter);
  if (why === undefined) return;
  const others = index.descending.slice(0, MAX_TRIED).filter((version) => {
    const other = index.line(version)!;
    return other.yanked === null && misfit(other, filter) === undefined;
  });
  const made = line.base.model === null ? "" : ` (${line.base.model})`;
  throw new VeneError("registry-mismatch", `${line.name}@${line.version} is for ${why}${made}`, {
    hint:
      others.length === 0
        ? "no version of it fits this model"
        : `these versions fit: ${others.slice(0, 10).join(", ")}`,
    details: { name: line.name, version: line.version, base: line.base, filter, fits: others.slice(0, 100) },
  });
}
