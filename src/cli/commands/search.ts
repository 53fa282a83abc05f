/** `vene search`: interventions in registries, by words and by what they are for. */
import type { FoundIntervention, ListedRepo } from "../../index.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { countValue } from "../option-values.ts";
import { type RegistryFlags, registryHelp, registryOptions, withRegistry } from "../registry-options.ts";
import { renderTable } from "../table.ts";

interface SearchFlags extends RegistryFlags {
  readonly base?: string;
  readonly arch?: string;
  readonly kind?: string;
  readonly component?: string;
  readonly license?: string;
  readonly maxBytes?: number;
  readonly limit: number;
  readonly hub?: true;
}

const notes = `${registryHelp}
--json prints { found, more, notices } with everything the registry says of the newest version of each name, and with --hub
also { hub }: repositories with { repo, tags }, which no registry has checked.

Examples:
  $ vene search honest
  $ vene search --base SmolLM2-135M-Instruct --kind addition
  $ vene search refusal --arch llama --max-bytes 1000000 --hub
`;

export const defineSearch: DefineCommand = (command, context) => {
  withRegistry(
    command.description("Lists interventions in registries.").argument("[words...]", "words that all have to occur"),
  )
    .option("--base <id>", "for this model: its Hub id, or the last part of it")
    .option("--arch <type>", "for models of this architecture (model_type)")
    .option("--kind <kind>", "of this kind: addition, lora, ...")
    .option("--component <component>", "acting there: block_output, mlp_output, ...")
    .option("--license <id>", "under this licence")
    .option("--max-bytes <n>", "no larger than this", countValue)
    .option("--limit <n>", "how many", countValue, 50)
    .option("--hub", "also what is only on the Hub")
    .addHelpText("after", notes)
    .action(async (words: readonly string[], flags: SearchFlags) => search(words, flags, context()));
};

async function search(words: readonly string[], flags: SearchFlags, context: CommandContext): Promise<void> {
  const { searchInterventions, listInterventions } = await import("../../index.ts");
  const { base, arch, kind, component, license, maxBytes, limit } = flags;
  const text = words.join(" ");
  const asked = { text, base, architecture: arch, kind, component, license, maxBytes, limit };
  const { found, more, notices } = await searchInterventions({ ...asked, ...registryOptions(flags, context) });
  const query = { ...(text === "" ? {} : { search: text }), base, limit, hub: { variables: context.env } };
  const hub = flags.hub === true ? await listInterventions(query) : undefined;
  printNotices(notices, context);
  const { json, stdout } = context;
  if (json) return stdout.write(`${JSON.stringify({ found, more, notices, ...(hub === undefined ? {} : { hub }) })}\n`);
  stdout.write(found.length === 0 ? "none\n" : tableOf(found));
  if (more) stdout.write(`... and more than these ${found.length}: --limit\n`);
  if (hub !== undefined) stdout.write(hubTable(hub));
}

function tableOf(found: readonly FoundIntervention[]): string {
  const titles = ["name", "version", "for", "kinds", "licence"].map((title) => ({ title }));
  const columns = [...titles, { title: "bytes", align: "right" }, { title: "what it does" }] as const;
  const rows = found.map(({ name, version, base, kinds, license, bytes, summary }) => {
    const short = summary.length > 60 ? `${summary.slice(0, 57)}...` : summary;
    return [name, version, base.model ?? base.architecture ?? "", kinds.join(" "), license, String(bytes), short];
  });
  return renderTable(columns, rows);
}

function hubTable(repos: readonly ListedRepo[]): string {
  const rows = repos.map(({ repo, lastModified }) => [`hf:${repo}`, lastModified?.slice(0, 10) ?? ""]);
  const table = renderTable([{ title: "repository" }, { title: "changed" }], rows);
  return `\nOn the Hub, in no registry:\n${rows.length === 0 ? "none\n" : table}`;
}
