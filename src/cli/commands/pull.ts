/** `vene pull`: an intervention or a model from the Hub into the local cache, verified. */
import type { Pulled } from "../../index.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";
import { renderTable } from "../table.ts";

interface PullFlags {
  readonly revision?: string;
  readonly model?: true;
  readonly dryRun?: true;
  readonly verify?: true;
}

const examples = `
Of an intervention only its own files are taken, of a model (--model) config, tokenizer and safetensors. Every byte is
checked against the digest that the Hub lists. Files go to the cache that Python uses, too: HF_HUB_CACHE, HF_HOME/hub
or ~/.cache/huggingface/hub. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there.

The first line names the commit: given to any command in place of the id, it means the same bytes for ever.

--json prints { repo, revision, commit, pinned, folder, dryRun, files, notices }; files have { path, size, sha256 or
gitSha1, cached }.

Examples:
  $ vene pull lab/honest-smollm2
  $ vene pull lab/honest-smollm2@v1 --dry-run
  $ vene pull HuggingFaceTB/SmolLM2-135M-Instruct --model
`;

export const definePull: DefineCommand = (command, context) => {
  command
    .description("Pulls an intervention or a model from the Hub into the local cache, and checks every byte.")
    .argument("<repo>", "org/name or org/name@revision")
    .option("--revision <revision>", "branch, tag, refs/pr/1 or commit (default: main)")
    .option("--model", "pull a model: config, tokenizer and safetensors")
    .option("--dry-run", "only say what would be pulled")
    .option("--verify", "hash large files that are in the cache already, too")
    .addHelpText("after", examples)
    .action(async (repo: string, flags: PullFlags) => pull(repo, flags, context()));
};

async function pull(repo: string, flags: PullFlags, context: CommandContext): Promise<void> {
  const { pullArtefact, pullModel } = await import("../../index.ts");
  const progress = new Progress(context);
  const dryRun = flags.dryRun === true;
  try {
    const pulled = await (flags.model === true ? pullModel : pullArtefact)(repo, {
      ...pullingOptions(context, progress),
      revision: flags.revision,
      dryRun,
      verify: flags.verify === true,
    });
    progress.clear();
    printNotices(pulled.notices, context);
    context.stdout.write(context.json ? `${JSON.stringify(asJson(pulled, dryRun))}\n` : asText(pulled, dryRun));
  } finally {
    progress.clear();
  }
}

function asJson(pulled: Pulled, dryRun: boolean) {
  const files = pulled.files.map(({ path, size, digest, cached }) => {
    return { path, size, [digest.algorithm === "sha256" ? "sha256" : "gitSha1"]: digest.hex, cached };
  });
  return { ...pulled, dryRun, files };
}

function asText({ pinned, revision, commit, folder, files }: Pulled, dryRun: boolean): string {
  const rows = files.map(({ path, size, digest, cached }) => {
    const state = cached ? "cached" : dryRun ? "to pull" : "pulled";
    return [path, String(size), digest.algorithm, digest.hex, state];
  });
  const columns = [
    { title: "file" },
    { title: "bytes", align: "right" },
    { title: "digest" },
    { title: "" },
    { title: "state" },
  ] as const;
  const missing = files.filter(({ cached }) => !cached).reduce((sum, { size }) => sum + size, 0);
  const end = dryRun ? `${missing} bytes to pull to ${folder}\n` : `${folder}\n`;
  const asked = revision === commit ? "" : ` (${revision})`;
  return `${pinned}${asked}\n\n${renderTable(columns, rows)}\n${end}`;
}
