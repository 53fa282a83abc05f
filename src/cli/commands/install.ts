/** `vene install`: interventions fetched, verified and noted in the lockfile. */
import type { InstalledIntervention, InstallOptions } from "../../index.ts";
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { Progress } from "../progress.ts";
import { pullingOptions } from "../pulling.ts";
import { type RegistryFlags, registryHelp, withRegistry } from "../registry-options.ts";
import { renderFacts } from "../table.ts";

interface InstallFlags extends RegistryFlags {
  readonly lockfile?: string;
  readonly lock: boolean;
  readonly frozen?: true;
}

const notes = `${registryHelp}
A name may also be "hf:org/name@revision", "hf:org/name#folder", "file:folder" or "https://...tgz#sha256:...". What it was is
noted in interventions.lock.json with the digest of every file, and from then on the same spelling means these bytes, here, in
vene generate and in IntervenableModel.load. Without a name everything that is noted there is installed; --frozen refuses all
else.

--json prints { installed }: objects with { name, pinned, folder, files, notices }.

Examples:
  $ vene install honest-truthful-tiny@^1
  $ vene install --frozen
`;

export const defineInstall: DefineCommand = (command, context) => {
  withRegistry(
    command
      .description("Fetches interventions, checks every byte, and notes in a lockfile what they were.")
      .argument("[names...]", "names in registries, or sources"),
  )
    .option("--lockfile <path>", "the lockfile (default: interventions.lock.json)")
    .option("--no-lock", "neither read nor write a lockfile")
    .option("--frozen", "only what the lockfile has, and do not change it")
    .addHelpText("after", notes)
    .action(async (names: readonly string[], flags: InstallFlags) => install(names, flags, context()));
};

async function install(names: readonly string[], flags: InstallFlags, context: CommandContext): Promise<void> {
  const { installIntervention, installLocked } = await import("../../index.ts");
  const progress = new Progress(context);
  const options: InstallOptions = {
    ...pullingOptions(context, progress),
    registry: flags.registry,
    lockfile: flags.lock ? flags.lockfile : null,
    frozen: flags.frozen === true,
  };
  const installed: InstalledIntervention[] = [];
  try {
    context.interrupt.hold();
    if (names.length === 0) installed.push(...(await installLocked(options)));
    for (const name of names) installed.push(await installIntervention(name, options));
  } finally {
    progress.clear();
  }
  printNotices([...new Set(installed.flatMap(({ notices }) => notices))], context);
  const { json, stdout } = context;
  if (json) return stdout.write(`${JSON.stringify({ installed })}\n`);
  stdout.write(installed.length === 0 ? "nothing to install\n" : installed.map(asText).join("\n"));
}

function asText({ name, pinned, folder, files }: InstalledIntervention): string {
  return renderFacts([
    ["installed", name],
    ["pinned", pinned],
    ["files", String(files.length)],
    ["folder", folder],
  ]);
}
