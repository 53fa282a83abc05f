/** `vene hub ls`: interventions on the Hub. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { countValue } from "../../option-values.ts";
import { renderTable } from "../../table.ts";

interface ListFlags {
  readonly search?: string;
  readonly base?: string;
  readonly limit: number;
}

const examples = `
Lists models tagged "vene", the latest first. --json prints { repos } with { repo, private, lastModified, tags }.

Examples:
  $ vene hub ls
  $ vene hub ls lab --base HuggingFaceTB/SmolLM2-135M-Instruct
`;

export const defineList: DefineCommand = (command, context) => {
  command
    .description("Lists interventions on the Hub.")
    .argument("[author]", "of this user or organisation")
    .option("--search <text>", "with this in the name")
    .option("--base <id>", "for this model")
    .option("--limit <n>", "how many", countValue, 50)
    .addHelpText("after", examples)
    .action(async (author: string | undefined, flags: ListFlags) => list(author, flags, context()));
};

async function list(
  author: string | undefined,
  flags: ListFlags,
  { env, json, stdout }: CommandContext,
): Promise<void> {
  const { listInterventions } = await import("../../../index.ts");
  const repos = await listInterventions({ author, ...flags, hub: { variables: env } });
  if (json) return stdout.write(`${JSON.stringify({ repos })}\n`);
  if (repos.length === 0) return stdout.write("none\n");
  const titles = ["repository", "changed", "visibility", "for"].map((title) => ({ title }));
  const rows = repos.map(({ repo, lastModified, private: hidden, tags }) => {
    const base = tags.find((tag) => tag.startsWith("base_model:adapter:"))?.slice("base_model:adapter:".length);
    return [repo, lastModified?.slice(0, 10) ?? "", hidden ? "private" : "public", base ?? ""];
  });
  stdout.write(renderTable(titles, rows));
}
