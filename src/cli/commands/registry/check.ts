/** `vene registry check`: everything in a registry read and compared. */
import type { DefineCommand } from "../../io.ts";
import { registryOptions } from "../../registry-options.ts";
import { harmlessLine } from "../../style.ts";

const notes = `
Read are the log's chain, every line, release, blob, alias and search row. Exit code 1 says that something is wrong.

--json prints { location, names, versions, blobs, faults }.

Examples:
  $ vene registry check ./registry
`;

export const defineRegistryCheck: DefineCommand = (command, context) => {
  command
    .description("Reads all of a registry and says what is wrong with it.")
    .argument("[location]", "folder, hf:datasets/org/name or https://... (default: the one in use)")
    .addHelpText("after", notes)
    .action(async (location: string | undefined) => {
      const { checkRegistry, VeneError } = await import("../../../index.ts");
      const { json, stdout } = context();
      const flags = location === undefined ? {} : { registry: [location] };
      const checked = await checkRegistry(registryOptions(flags, context()));
      const { faults, names, versions, blobs } = checked;
      if (faults.length > 0) {
        const [first, ...others] = faults;
        if (!json) for (const fault of faults) stdout.write(`${harmlessLine(fault)}\n`);
        const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
        throw new VeneError("registry-invalid", `${checked.location}: ${first}${more}`, { details: { ...checked } });
      }
      stdout.write(
        json ? `${JSON.stringify(checked)}\n` : `${names} names, ${versions} versions, ${blobs} blobs: well\n`,
      );
    });
};
