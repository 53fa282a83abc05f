/** `vene yank` and `vene unyank`: withdraw a version, and take that back. */
import type { YankOptions } from "../../index.ts";
import type { DefineCommand } from "../io.ts";
import { type ChangeFlags, changeOptions, printChange, registryHelp, withChange } from "../registry-options.ts";

interface YankFlags extends ChangeFlags {
  readonly reason: string;
  readonly severity: NonNullable<YankOptions["severity"]>;
  readonly advisory?: string;
}

const notes = `${registryHelp}
Nothing is deleted. Ranges and "latest" pass over the version or refuse it; who names it exactly, or has it in a lockfile, gets
it with a notice that shows the reason.

Examples:
  $ vene yank lab/cheerful@1.0.0 --reason "repeats itself above strength 1" --registry ./registry
  $ vene unyank lab/cheerful@1.0.0 --registry ./registry
`;

export const defineYank: DefineCommand = (command, context) => {
  withChange(command.description("Withdraws a version.").argument("<name>", "namespace/name@version"))
    .requiredOption("--reason <text>", "what is wrong, and what to use instead")
    .option("--severity <severity>", "broken, unsafe, license or superseded", "broken")
    .option("--advisory <url>", "more about it")
    .addHelpText("after", notes)
    .action(async (name: string, flags: YankFlags) => {
      const { yankIntervention } = await import("../../index.ts");
      const { reason, severity, advisory } = flags;
      const options = { ...changeOptions(flags, context()), reason, severity, advisory };
      printChange(`withdrawn: ${name}`, await yankIntervention(name, options), context());
    });
};

export const defineUnyank: DefineCommand = (command, context) => {
  withChange(command.description("Takes a withdrawal back.").argument("<name>", "namespace/name@version"))
    .addHelpText("after", registryHelp)
    .action(async (name: string, flags: ChangeFlags) => {
      const { unyankIntervention } = await import("../../index.ts");
      printChange(`given back: ${name}`, await unyankIntervention(name, changeOptions(flags, context())), context());
    });
};
