/** `vene cache rm`: repositories and revisions out of the cache. */
import type { CommandContext, DefineCommand } from "../../io.ts";
import { removedText } from "./removed.ts";

const notes = `
A revision is given by a branch, a tag, or seven or more digits of its commit. Files that other revisions have stay.

--json prints { dryRun, repos, revisions, blobs, temporaries, bytes }.

Examples:
  $ vene cache rm lab/honest-smollm2 --dry-run
  $ vene cache rm lab/honest-smollm2@v1 datasets/lab/questions
`;

export const defineRemove: DefineCommand = (command, context) => {
  command
    .description("Removes repositories or revisions from the cache.")
    .argument("<target...>", "org/name or org/name@revision; data sets are datasets/org/name")
    .option("--dry-run", "only say what would go")
    .addHelpText("after", notes)
    .action(async (targets: readonly string[], flags: { readonly dryRun?: true }) => remove(targets, flags, context()));
};

async function remove(
  targets: readonly string[],
  { dryRun = false }: { readonly dryRun?: boolean },
  { env, json, stdout }: CommandContext,
): Promise<void> {
  const { removeFromCache } = await import("../../../index.ts");
  const removed = await removeFromCache(targets, { dryRun, hub: { variables: env } });
  stdout.write(json ? `${JSON.stringify({ dryRun, ...removed })}\n` : removedText(removed, dryRun));
}
