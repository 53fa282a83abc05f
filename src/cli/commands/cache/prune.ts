/** `vene cache prune`: what nothing names out of the cache. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { removedText } from "./removed.ts";

const notes = `
As "hf cache prune": revisions that no branch or tag in the cache is at go, those pulled by their commit among them, and
what unfinished downloads left. What was touched within the last hour stays: it may be a download that is going on.

--json prints { dryRun, repos, revisions, blobs, temporaries, bytes }.

Examples:
  $ vene cache prune --dry-run
`;

export const definePrune: DefineCommand = (command, context) => {
  command
    .description("Removes revisions that no branch or tag names, and leftovers of downloads.")
    .option("--dry-run", "only say what would go")
    .addHelpText("after", notes)
    .action(async (flags: { readonly dryRun?: true }) => prune(flags, context()));
};

async function prune(
  { dryRun = false }: { readonly dryRun?: boolean },
  { env, json, stdout }: CommandContext,
): Promise<void> {
  const { pruneCache } = await import("../../../index.ts");
  const removed = await pruneCache({ dryRun, hub: { variables: env } });
  stdout.write(json ? `${JSON.stringify({ dryRun, ...removed })}\n` : removedText(removed, dryRun));
}
