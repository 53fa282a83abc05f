/** `vene deprecate`: say of a version that something else should be used. */
import { UsageError } from "../failures.ts";
import type { DefineCommand } from "../io.ts";
import { type ChangeFlags, changeOptions, printChange, registryHelp, withChange } from "../registry-options.ts";

interface DeprecateFlags extends ChangeFlags {
  readonly message?: string;
  readonly undo?: true;
}

export const defineDeprecate: DefineCommand = (command, context) => {
  withChange(
    command
      .description("Says that something else should be used; the version keeps working, with a notice.")
      .argument("<name>", "namespace/name@version"),
  )
    .option("--message <text>", "what to use instead")
    .option("--undo", "take it back")
    .addHelpText("after", registryHelp)
    .action(async (name: string, flags: DeprecateFlags) => {
      const { deprecateIntervention } = await import("../../index.ts");
      if ((flags.message === undefined) === (flags.undo === undefined)) {
        throw new UsageError("give either --message or --undo");
      }
      const options = { ...changeOptions(flags, context()), message: flags.message ?? null };
      printChange(`deprecated: ${name}`, await deprecateIntervention(name, options), context());
    });
};
