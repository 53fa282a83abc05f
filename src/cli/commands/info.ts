/** `vene info`: all that a registry says of a version. */
import type { ResolvedRelease } from "../../index.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { type RegistryFlags, registryHelp, registryOptions, withRegistry } from "../registry-options.ts";
import { renderFacts, renderTable } from "../table.ts";

const notes = `${registryHelp}
Nothing but the registry's own documents is fetched. --json prints { name, version, digest, pinned, registry, seq, release,
line, notices }: the release manifest, and the line of the index.

Examples:
  $ vene info honest-truthful-tiny
  $ vene info lab/refusal@^1.2 --json
`;

export const defineInfo: DefineCommand = (command, context) => {
  withRegistry(
    command
      .description("Says what an intervention in a registry is, without fetching it.")
      .argument("<name>", "[registry:][namespace/]name[@version, range, alias or sha256:...]"),
  )
    .addHelpText("after", notes)
    .action(async (name: string, flags: RegistryFlags) => info(name, flags, context()));
};

async function info(name: string, flags: RegistryFlags, context: CommandContext): Promise<void> {
  const { resolveIntervention } = await import("../../index.ts");
  const resolved = await resolveIntervention(name, registryOptions(flags, context));
  printNotices(resolved.notices, context);
  context.stdout.write(context.json ? `${JSON.stringify(resolved)}\n` : asText(resolved));
}

function asText({ pinned, version, registry, release, line }: ResolvedRelease): string {
  const { base, strength, evaluation = [] } = release;
  const measured = evaluation.map(({ name, metric, value, baseline }) => {
    return `${metric} ${value}${baseline === undefined ? "" : ` (without: ${baseline})`} on ${name}`;
  });
  const facts = renderFacts([
    ["name", release.name],
    ["version", version],
    ["pinned", pinned],
    ["what it does", release.summary],
    ["for", [base.model, base.architecture, base.layers && `${base.layers} layers`].filter(Boolean).join(", ")],
    ["kinds", release.kinds.join(", ")],
    ["sites", shortList(release.sites)],
    ["strength", strength && `${strength.default} (${strength.min} to ${strength.max})`],
    ["licence", release.license],
    ["tags", release.tags.join(", ")],
    ["method", release.provenance?.method],
    ["measured", measured.join("; ")],
    ["published", `${line.published}${line.by === undefined ? "" : ` by ${line.by}`}`],
    ["registry", `${registry.name} (${registry.location})`],
  ]);
  const columns = [{ title: "file" }, { title: "bytes", align: "right" }, { title: "sha256" }] as const;
  return `${facts}\n${renderTable(
    columns,
    release.files.map(({ path, size, sha256 }) => [path, String(size), sha256]),
  )}`;
}

function shortList(texts: readonly string[]): string {
  const shown = texts.slice(0, 6).join(", ");
  return texts.length > 6 ? `${shown}, and ${texts.length - 6} more` : shown;
}
