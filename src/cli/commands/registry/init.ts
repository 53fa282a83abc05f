/** `vene registry init`: an empty registry in a folder or a dataset repository. */
import type { DefineCommand } from "../../io.ts";
import { registryOptions } from "../../registry-options.ts";
import { renderFacts } from "../../table.ts";

interface InitFlags {
  readonly name: string;
  readonly namespace?: string;
}

const notes = `
--json prints { registry, id, name, namespace }.

Examples:
  $ vene registry init ./registry --name lab
  $ vene registry init hf:datasets/lab/registry --name lab --namespace lab
`;

export const defineRegistryInit: DefineCommand = (command, context) => {
  command
    .description("Makes an empty registry.")
    .argument("<location>", "folder or hf:datasets/org/name")
    .requiredOption("--name <name>", "what it is called in front of a colon")
    .option("--namespace <namespace>", "where names without a namespace are looked up")
    .addHelpText("after", notes)
    .action(async (location: string, { name, namespace }: InitFlags) => {
      const { initRegistry } = await import("../../../index.ts");
      const { json, stdout, interrupt } = context();
      interrupt.hold();
      const made = await initRegistry({ ...registryOptions({ registry: [location] }, context()), name, namespace });
      const facts = [
        ["made", location],
        ["name", made.name],
        ["id", made.id],
      ] as const;
      stdout.write(json ? `${JSON.stringify(made)}\n` : renderFacts(facts));
    });
};
