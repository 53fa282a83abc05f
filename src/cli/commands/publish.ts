/** `vene publish`: an intervention as a new version in a registry. */
import type { PublishedRelease, PublishOptions } from "../../index.ts";
import { UsageError } from "../failures.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { listValue } from "../option-values.ts";
import { type ChangeFlags, changeOptions, registryHelp, withChange } from "../registry-options.ts";
import { renderFacts } from "../table.ts";

interface PublishFlags extends ChangeFlags {
  readonly tag?: readonly string[];
  readonly source?: readonly string[];
  readonly store?: true;
  readonly latest: boolean;
}

const notes = `${registryHelp}
A version is published once: the same files again change nothing, others are refused. The files are stored in the registry,
unless --source says where they are; every source is read and compared first. A stable version that is the highest becomes
"latest".

--json prints { name, version, digest, pinned, registry, changed, pullRequestUrl, notices }.

Examples:
  $ vene publish ./cheerful lab/cheerful@1.0.0 --registry ./registry --tag steering
  $ vene publish ./cheerful lab/cheerful@1.0.1 --registry hf:datasets/lab/registry --source hf:lab/cheerful@<commit>
`;

export const definePublish: DefineCommand = (command, context) => {
  withChange(
    command
      .description("Publishes an intervention in a registry.")
      .argument("<folder>", "the intervention")
      .argument("<name>", "namespace/name@version"),
  )
    .option("--tag <tag>", "a word to find it by; may be repeated", listValue)
    .option("--source <source>", "hf:org/name@commit or https://... with the files; may be repeated", listValue)
    .option("--store", "store the files in the registry beside the sources, too")
    .option("--no-latest", 'leave the alias "latest" alone')
    .addHelpText("after", notes)
    .action(async (folder: string, name: string, flags: PublishFlags) => publish(folder, name, flags, context()));
};

async function publish(folder: string, ref: string, flags: PublishFlags, context: CommandContext): Promise<void> {
  const { publishIntervention } = await import("../../index.ts");
  const [name = "", version = "", ...rest] = ref.split("@");
  if (version === "" || rest.length > 0) throw new UsageError(`"${ref}" is no namespace/name@version`);
  const sources = (flags.source ?? []).map(sourceOf);
  const published = await publishIntervention(folder, {
    ...changeOptions(flags, context),
    name,
    version,
    tags: flags.tag,
    sources,
    store: sources.length === 0 || flags.store === true,
    latest: flags.latest,
  });
  printNotices(published.notices, context);
  context.stdout.write(context.json ? `${JSON.stringify(published)}\n` : asText(published));
}

function sourceOf(text: string): NonNullable<PublishOptions["sources"]>[number] {
  const [, repo, revision] = /^hf:([^@]+)@([0-9a-f]{40})$/.exec(text) ?? [];
  if (repo !== undefined && revision !== undefined) return { type: "hf", repo, revision };
  if (/^https?:\/\//.test(text)) return { type: "https", url: text };
  throw new UsageError(`"${text}" is no source`, "write hf:org/name@<commit of 40 digits> or https://...");
}

function asText({ name, version, pinned, registry, changed, pullRequestUrl }: PublishedRelease): string {
  return renderFacts([
    [changed ? "published" : "already there", `${name}@${version}`],
    ["pinned", pinned],
    ["registry", registry],
    ["proposed", pullRequestUrl],
  ]);
}
