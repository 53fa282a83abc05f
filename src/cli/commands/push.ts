/** `vene push`: an intervention's folder to the Hub, in one commit that is checked afterwards. */
import type { PushedArtefact } from "../../index.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { listValue } from "../option-values.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";
import { renderFacts } from "../table.ts";

interface PushFlags {
  readonly private?: true;
  readonly message?: string;
  readonly createPr?: true;
  readonly tag?: readonly string[];
  readonly license?: string;
  readonly branch?: string;
}

const examples = `
Only an intervention's own files are pushed: intervention.json, its tensors, the card, and what pyvene loads if the folder
has that. The card's text outside of vene's marks stays, the folder's or else the Hub's. Files of an earlier version are
deleted, others in the repository are left alone. A push that changes nothing makes no commit.

The first line names the commit: given to any command in place of the id, it means the same bytes for ever. HF_ENDPOINT
and HF_TOKEN say where to and as whom; "vene hub login" stores a token.

--json prints { repo, commit, ref, url, pullRequestUrl, created, changed, written, removed, notices }.

Examples:
  $ vene push ./cheerful me/cheerful --private
  $ vene push ./cheerful me/cheerful --message "Stronger" --tag v1.1
  $ vene push ./cheerful lab/cheerful --create-pr
`;

export const definePush: DefineCommand = (command, context) => {
  command
    .description("Pushes an intervention's folder to the Hub in one commit, and compares every digest afterwards.")
    .argument("<folder>", "the intervention, in vene's format or as pyvene saved it")
    .argument("<repo>", "org/name; made if it is not there")
    .option("--private", "make a new repository private, and refuse a public one")
    .option("--message <text>", "first line of the commit")
    .option("--create-pr", "propose it as a pull request")
    .option("--tag <name>", "name for the commit; may be repeated", listValue)
    .option("--license <id>", "record this licence in place of the intervention's")
    .option("--branch <name>", "branch to commit to, made if it is not there (default: main)")
    .addHelpText("after", examples)
    .action(async (folder: string, repo: string, flags: PushFlags) => push(folder, repo, flags, context()));
};

async function push(folder: string, repo: string, flags: PushFlags, context: CommandContext): Promise<void> {
  const { pushArtefact } = await import("../../index.ts");
  const progress = new Progress(context);
  // To the end of a request even when interrupted, so that what was done is known.
  context.interrupt.hold();
  try {
    const pushed = await pushArtefact(folder, repo, {
      ...pullingOptions(context, progress),
      private: flags.private,
      message: flags.message,
      createPr: flags.createPr,
      tags: flags.tag,
      license: flags.license,
      revision: flags.branch,
    });
    progress.clear();
    printNotices(pushed.notices, context);
    context.stdout.write(context.json ? `${JSON.stringify(pushed)}\n` : asText(pushed));
  } finally {
    progress.clear();
    context.interrupt.letGo();
  }
}

function asText({ ref, url, pullRequestUrl, changed, created, written, removed }: PushedArtefact): string {
  const state = changed ? (created ? "pushed to a new repository" : "pushed") : "nothing had changed";
  const facts = renderFacts([
    ["state", state],
    ["page", url],
    ["pull request", pullRequestUrl],
    ["written", written.join(", ")],
    ["deleted", removed.join(", ")],
  ]);
  return `${ref}\n\n${facts}`;
}
