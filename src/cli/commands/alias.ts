/** `vene alias`: a name such as "stable" for a version, moved at will. */
import { UsageError } from "../failures.ts";
import type { DefineCommand } from "../io.ts";
import { type ChangeFlags, changeOptions, printChange, registryHelp, withChange } from "../registry-options.ts";

const notes = `${registryHelp}
Examples:
  $ vene alias lab/cheerful stable 1.0.0 --registry ./registry
  $ vene alias lab/cheerful stable --remove --registry ./registry
`;

export const defineAlias: DefineCommand = (command, context) => {
  withChange(
    command
      .description("Points an alias at a version; every move is logged.")
      .argument("<name>", "namespace/name")
      .argument("<alias>", "a word: stable, latest, ...")
      .argument("[version]", "the version"),
  )
    .option("--remove", "take the alias away")
    .addHelpText("after", notes)
    .action(
      async (name: string, alias: string, version: string | undefined, flags: ChangeFlags & { remove?: true }) => {
        const { setAlias } = await import("../../index.ts");
        if ((version === undefined) !== (flags.remove === true))
          throw new UsageError("give either a version or --remove");
        const changed = await setAlias(name, alias, version ?? null, changeOptions(flags, context()));
        printChange(`${name}@${alias} is ${version ?? "gone"}`, changed, context());
      },
    );
};
