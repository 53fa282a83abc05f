/** `vene resolve`: which release a name means, in a line that scripts can use. */
import type { CommandContext, DefineCommand } from "../io.ts";
import { printNotices } from "../notices.ts";
import { type RegistryFlags, registryHelp, registryOptions, withRegistry } from "../registry-options.ts";

const notes = `${registryHelp}
What follows the "@" is, in this order, a digest, an exact version, an alias or a range: sha256:..., 1.2.0, stable, ^1.2,
~1.2, 1.x, ">=1 <2". Without it the alias "latest" is meant, else the highest stable version that was not withdrawn.

--json prints { name, version, digest, pinned, registry, seq, notices }.

Examples:
  $ vene resolve honest-truthful-tiny@^1
  vene/honest-truthful-tiny@sha256:...
`;

export const defineResolve: DefineCommand = (command, context) => {
  withRegistry(
    command
      .description("Prints the release that a name means.")
      .argument("<name>", "[registry:][namespace/]name[@version, range, alias or sha256:...]"),
  )
    .addHelpText("after", notes)
    .action(async (name: string, flags: RegistryFlags) => resolve(name, flags, context()));
};

async function resolve(text: string, flags: RegistryFlags, context: CommandContext): Promise<void> {
  const { resolveIntervention } = await import("../../index.ts");
  const resolved = await resolveIntervention(text, registryOptions(flags, context));
  const { name, version, digest, pinned, registry, seq, notices } = resolved;
  printNotices(notices, context);
  const { json, stdout } = context;
  const facts = { name, version, digest, pinned, registry, seq, notices };
  stdout.write(json ? `${JSON.stringify(facts)}\n` : `${pinned}\n`);
}
